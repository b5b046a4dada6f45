"""Where the control plane's programs are: in KUBEBUILDER_ASSETS, or built by us into a cache folder.

KUBEBUILDER_ASSETS is the convention of this ecosystem (setup-envtest, controller-runtime). Its archives hold no
kube-controller-manager; what is not there is taken from the cache folder.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

MODULE = Path(__file__).parent
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
"""Each program, and the package of the Go module that it is built from."""

HOME = Path.home()  # now: some tests have another
HOW_TO_GET_THEM = "install Go and run `make controlplane`, or set KUBEBUILDER_ASSETS"


def find(program: str) -> Path | None:
    """The program's path; None where it has not been built, nor come with KUBEBUILDER_ASSETS."""
    places = [Path(assets)] if (assets := os.environ.get("KUBEBUILDER_ASSETS")) else []
    candidates = (place / program for place in (*places, cache_folder()))
    return next((path for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)


def missing() -> list[str]:
    """The programs that are nowhere."""
    return [program for program in PACKAGES if find(program) is None]


def kubernetes_version() -> str:
    """The version that go.mod pins, with its "v"."""
    found = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found
    return found[1]


def cache_folder() -> Path:
    """Where our own build is kept; another folder for other versions, so that an old build is never taken for new."""
    base = os.environ.get("XDG_CACHE_HOME") or HOME / ".cache"
    pins = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    return Path(base, "rotator", "controlplane", f"{kubernetes_version()}-{hashlib.sha256(pins).hexdigest()[:12]}")


def build(program: str, *, go: str) -> None:
    """Build one program into the cache folder. Raises CalledProcessError when Go fails; it has said why then.

    The file appears there whole or not at all: a build that was interrupted leaves none.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{program}.{os.getpid()}"
    major, minor, _ = kubernetes_version().removeprefix("v").split(".")
    version = {"gitVersion": kubernetes_version(), "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items())
    command = [go, "build", "-trimpath", "-ldflags", f"-s -w {stamps}", "-o", str(unfinished), PACKAGES[program]]
    try:
        subprocess.run(command, cwd=MODULE, env=os.environ | {"CGO_ENABLED": "0"}, check=True)  # noqa: S603  (go)
        unfinished.rename(folder / program)
    finally:
        unfinished.unlink(missing_ok=True)


def find_go() -> str | None:
    """The Go command, if there is one."""
    return shutil.which("go")
