"""The CustomResourceDefinitions of the Prometheus operator, out of its Go module into the cache folder."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.pinned import Pinned

OPERATOR = Pinned(Path(__file__).parent, "github.com/prometheus-operator/prometheus-operator", "prometheus-operator")
KINDS = ("podmonitors", "prometheusrules", "servicemonitors")
HOW_TO_GET_THEM = "install Go and run `make controlplane`"


def find() -> tuple[Path, ...]:
    """A file for each kind; none where they have not been fetched."""
    return tuple(OPERATOR.path / f"{kind}.yaml" for kind in KINDS) if OPERATOR.path.is_dir() else ()


def fetch(go: str) -> None:
    """Fetch them; go.sum holds the module's hash. Raises CalledProcessError when Go fails. All appear, or none."""
    command = [go, "mod", "download", "-json", OPERATOR.module]
    done = subprocess.run(command, cwd=OPERATOR.folder, check=True, stdout=subprocess.PIPE)  # noqa: S603  (go)
    source = Path(json.loads(done.stdout)["Dir"], "example", "prometheus-operator-crd")
    unfinished = OPERATOR.path.with_name(f".unfinished.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        for kind in KINDS:
            shutil.copyfile(source / f"monitoring.coreos.com_{kind}.yaml", unfinished / f"{kind}.yaml")
        unfinished.rename(OPERATOR.path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
