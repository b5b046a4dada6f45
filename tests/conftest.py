"""What holds for every test: in CI, a test that is skipped is a failure."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from tests.controlplane.fixtures import controlplane
from tests.helm.fixtures import helm
from tests.registries.fixtures import real_programs

__all__ = ["controlplane", "helm", "real_programs"]

# A busy machine is no defect of the code under test: no deadline for one example, none for finding examples.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each reason for a skip once, with the number of tests: pytest would give every test a line."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"skipped {count}: {reason.removeprefix('Skipped: ')}", yellow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where CI skipped something: a check that nobody ran proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    if skipped := reporter.stats.get("skipped", []):
        reporter.write_line(f"CI: {len(skipped)} tests were skipped, and none may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
