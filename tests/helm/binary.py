"""Helm, built by us into the cache folder."""

import os
import subprocess
from pathlib import Path

from tests.pinned import Pinned

HELM = Pinned(Path(__file__).parent, "helm.sh/helm/v4", "helm")
PACKAGE = f"{HELM.module}/cmd/helm"
HOW_TO_GET_IT = "install Go and run `make controlplane`"


def find() -> Path | None:
    """Its path; None where it has not been built."""
    return HELM.path if os.access(HELM.path, os.X_OK) else None


def build(go: str) -> None:
    """Build it. Raises CalledProcessError when Go fails. The file appears whole or not at all."""
    HELM.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = HELM.path.with_name(f".helm.{os.getpid()}")
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(unfinished), PACKAGE]
    try:
        subprocess.run(command, cwd=HELM.folder, env=os.environ | {"CGO_ENABLED": "0"}, check=True)  # noqa: S603  (go)
        unfinished.rename(HELM.path)
    finally:
        unfinished.unlink(missing_ok=True)
