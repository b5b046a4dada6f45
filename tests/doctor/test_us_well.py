"""The checks about rotator itself: what they say of an installation in which all is well, and of each fault."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.controlplane.server import ControlPlane
from tests.installation import ACCOUNT, Installation, installed_on
from tests.scenarios.roles import apply_printed
from tests.waiting import eventually

NAMES = (
    "permissions-fit",
    "cloud-identities",
    "credentials-minted",
    "clocks-agree",
    "lease-held",
    "configuration-matches",
)


@pytest.fixture(scope="module")
def well(controlplane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Rotator on a real cluster with just the rights that it prints; it runs, and leads."""
    with installed_on(controlplane, tmp_path_factory.mktemp("well")) as installation:
        installation.add_namespaces("team-a", "team-legacy")
        apply_printed(installation)
        with installation.start("run") as running:
            eventually(lambda: running.events("pass.finished"), "the first pass")
            yield installation


def told(installation: Installation, *words: str, code: int = 0, **variables: str) -> dict[str, dict[str, Any]]:
    done = installation.run("doctor", "-o", "json", *words, **variables)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return {finding["check"]: finding for finding in findings}


def test_x(well: Installation) -> None:
    """."""
    import time

    t = time.monotonic()
    words = [w for n in NAMES for w in ("--check", n)]
    done = well.run("doctor", *words)
    print(done.stdout, done.stderr, time.monotonic() - t)
    kc = well.controlplane.kubeconfig(well.directory / "admin")
    t = time.monotonic()
    done = well.run(
        "doctor",
        "--check",
        "permissions-fit",
        "--check",
        "lease-held",
        "--rotator",
        f"{well.full(ACCOUNT)}/rotator",
        KUBECONFIG=str(kc),
    )
    print(done.stdout, done.stderr, time.monotonic() - t)
    done = well.run("doctor", "--check", "permissions-fit", "--check", "lease-held", KUBECONFIG=str(kc))
    print(done.stdout, done.stderr, time.monotonic() - t)
