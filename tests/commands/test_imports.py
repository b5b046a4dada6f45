"""Start-up and memory are paid for what is configured and due: each cloud's SDK is imported only when it is asked."""

from pathlib import Path

import pytest

from tests.commands.shell import Shell
from tests.outside import ACR, CONFIG, ECR, GAR

SDKS = {
    "prod": {"boto3", "botocore"},
    # The kubernetes package imports google.auth itself, for GKE's old kubeconfigs; these it does not.
    "images": {"google.auth.identity_pool", "google.auth.impersonated_credentials"},
    "contoso": {"azure.core", "azure.identity", "msal"},
}
EVERY = set().union(*SDKS.values())
SCHEDULER = "apscheduler"
SITE = """
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path({path!r}).write_text("\\n".join(sys.modules)))
"""


@pytest.fixture
def imported(shell: Shell, tmp_path: Path) -> Path:
    """The file to which the program writes what it had imported, at its end."""
    site, modules = tmp_path / "site", tmp_path / "modules"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(path=str(modules)))
    shell.environment["PYTHONPATH"] = str(site)
    return modules


def of(modules: Path, names: set[str]) -> set[str]:
    """Which of these had been imported."""
    return names & set(modules.read_text().split())


def only(registry: str) -> str:
    """The configuration with this registry alone."""
    lines = [line for line in CONFIG.splitlines() if "name:" not in line or registry in line or "worker-pull" in line]
    return "\n".join(lines).replace("[prod, images, contoso]", f"[{registry}]")


@pytest.mark.parametrize(("registry", "host"), [("prod", ECR), ("images", GAR), ("contoso", ACR)])
def test_one_cloud_imports_one_sdk(shell: Shell, imported: Path, registry: str, host: str) -> None:
    """A configuration with one kind of registry: a good pass, with that kind's SDK and no other."""
    shell.configure(only(registry))
    assert shell.run("once").returncode == 0
    assert set(shell.auths("team-a")) == {host}
    assert of(imported, EVERY) == SDKS[registry]


def test_a_pass_that_mints_nothing_imports_no_sdk(shell: Shell, imported: Path) -> None:
    """Three clouds are configured and all is up to date: neither an SDK nor the scheduler nor the sandbox."""
    assert shell.run("once").returncode == 0
    assert of(imported, EVERY) == EVERY
    assert shell.run("once").returncode == 0
    assert of(imported, EVERY | {SCHEDULER, "rotator.sandbox", "trustme"}) == set()


@pytest.mark.parametrize("command", ["schema", "--version", "--help"])
def test_what_needs_no_cloud_imports_none(shell: Shell, imported: Path, command: str) -> None:
    """Nor the scheduler, nor the sandbox."""
    assert shell.run(command).returncode == 0
    assert of(imported, EVERY | {SCHEDULER, "rotator.sandbox", "trustme"}) == set()
