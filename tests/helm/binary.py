"""Where Helm is: built by us into the cache folder, another one for another version."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

from tests.controlplane.binaries import HOME

MODULE = Path(__file__).parent
PACKAGE = "helm.sh/helm/v4/cmd/helm"
HOW_TO_GET_IT = "install Go and run `make controlplane`"


def version() -> str:
    """The version that go.mod pins, with its "v"."""
    found = re.search(r"^\s*(?:require )?helm\.sh/helm/v4 (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found
    return found[1]


def path() -> Path:
    """Where our build is, or would be."""
    base = os.environ.get("XDG_CACHE_HOME") or HOME / ".cache"
    pins = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    return Path(base, "rotator", "helm", f"{version()}-{hashlib.sha256(pins).hexdigest()[:12]}", "helm")


def find() -> Path | None:
    """Its path; None where it has not been built."""
    return path() if os.access(path(), os.X_OK) else None


def build(go: str) -> None:
    """Build it. Raises CalledProcessError when Go fails. The file appears whole or not at all."""
    path().parent.mkdir(parents=True, exist_ok=True)
    unfinished = path().with_name(f".helm.{os.getpid()}")
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), PACKAGE]
    try:
        subprocess.run(command, cwd=MODULE, env=os.environ | {"CGO_ENABLED": "0"}, check=True)  # noqa: S603  (go)
        unfinished.rename(path())
    finally:
        unfinished.unlink(missing_ok=True)
