"""The control plane's programs are found, built or named as missing, and end with the tests."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.controlplane import binaries
from tests.controlplane.server import ControlPlane
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
TESTS_THAT_NEED_IT = ("tests/scenarios/test_installation.py", "tests/scenarios/test_other_clients_on_secrets.py")


def run(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where neither Go nor the control plane is."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "KUBEBUILDER_ASSETS"}}
    return subprocess.run(  # noqa: S603  (our own modules)
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=kept | {"PATH": "/nowhere"} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_pinned_version_is_recent() -> None:
    """Kubernetes 1.36 or newer, as the emulation says of itself."""
    assert tuple(map(int, binaries.kubernetes_version()[1:].split("."))) >= (1, 36)


def test_kubebuilder_assets_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What KUBEBUILDER_ASSETS holds is taken from there, and only the rest from our own build."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    monkeypatch.setenv("XDG_CACHE_HOME", str(ours))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(theirs))
    for folder, programs in ((binaries.cache_folder(), ("etcd", "kube-controller-manager")), (theirs, ("etcd",))):
        folder.mkdir(parents=True)
        for program in programs:
            (folder / program).touch(mode=0o755)
    assert binaries.find("etcd") == theirs / "etcd"
    assert binaries.find("kube-controller-manager") == binaries.cache_folder() / "kube-controller-manager"
    assert binaries.missing() == ["kube-apiserver", "kubectl"]


def test_without_go_one_line_says_what_to_do(tmp_path: Path) -> None:
    """`make controlplane` fails with one line; `make test` says it and goes on."""
    done = run("tests.controlplane", XDG_CACHE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert binaries.HOW_TO_GET_THEM in done.stderr
    assert run("tests.controlplane", "--where-possible", XDG_CACHE_HOME=str(tmp_path)).returncode == 0


def test_without_it_tests_are_skipped_in_one_named_line_and_ci_fails(tmp_path: Path) -> None:
    """A developer without Go sees one line for all of them; CI does not take that for success."""
    words = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS_THAT_NEED_IT)
    done = run(*words, XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if binaries.HOW_TO_GET_THEM in line]
    assert int(line.removeprefix("skipped ").partition(": no etcd, ")[0]) > 1
    assert run(*words, XDG_CACHE_HOME=str(tmp_path), CI="true").returncode != 0


def test_it_is_the_version_that_is_pinned(controlplane: ControlPlane) -> None:
    """The server that answers is the one of go.mod, unless somebody chose another."""
    if "KUBEBUILDER_ASSETS" not in os.environ:
        assert controlplane.admin.get("/version").body["gitVersion"] == binaries.kubernetes_version()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (Debian: util-linux)")
def test_it_ends_even_with_a_process_that_is_killed(controlplane: ControlPlane, tmp_path: Path) -> None:  # noqa: ARG001
    """Kill -9 of the tests leaves no etcd and no API server behind."""
    program = (
        "import os, tests.controlplane.server as s\n"
        "plane = s.ControlPlane().__enter__()\n"
        "print(*(p.process.pid for p in plane.programs), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(  # noqa: S603  (our own modules)
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 3, done.stderr
    eventually(lambda: not any(map(_runs, pids)), f"ended: {pids}")


def _runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
