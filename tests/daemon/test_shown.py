"""What the program shows while it runs: to the kubelet's probes, and to Prometheus."""

import socket
import threading
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from urllib.error import HTTPError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.sandbox.apiserver import Call
from tests.commands.shell import TEAMS, Shell
from tests.daemon.test_leading import ELECTION, leads, replica, served
from tests.outside import ECR_ONLY, SECRET
from tests.program import Running
from tests.waiting import PATIENCE, eventually

QUIET = "renewal: {sweep: 1h}\n"


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    text: str

    def has(self, line: str) -> bool:
        """Whether it is one of its lines."""
        return line in self.text.splitlines()


def page(running: Running, path: str) -> Page:
    """What it serves there, by the address that it logs."""
    server = "metrics" if path == "/metrics" else "health"
    eventually(lambda: running.events(f"{server}.listening"), "an address")
    (listening,) = running.events(f"{server}.listening")
    try:
        with urllib.request.urlopen(f"http://{listening['address']}{path}", timeout=30) as answer:
            return Page(answer.status, answer.read().decode())
    except HTTPError as error:
        return Page(error.code, error.read().decode())


def values(running: Running, name: str) -> dict[tuple[str, ...], float]:
    """The series of this name: its labels' values, and its own."""
    families = text_string_to_metric_families(page(running, "/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def test_who_leads_is_ready_after_its_first_pass_and_shows_how_things_stand(shell: Shell) -> None:
    """The probes are 200, the times are those of the Secrets, and everything is counted."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: page(running, "/readyz").status == 200, "that it is ready")
        assert page(running, "/readyz").text == (
            "[+]configuration ok\n[+]watches ok\n[+]first-pass ok\nreadyz check passed\n"
        )
        assert page(running, "/healthz").status == 200
        assert page(running, "/healthz").has("[+]lease ok")
        assert values(running, "rotator_leader") == {(): 1}
        assert values(running, "rotator_mints_total")["prod", "ok"] == 1
        assert values(running, "rotator_objects")["Secret", SECRET, "UpToDate"] == len(TEAMS)
        ends = shell.secret("team-a")["metadata"]["annotations"]["rotator.dev/expires-at"]
        shown = values(running, "rotator_credential_expiry_timestamp_seconds")
        assert shown == {("prod",): datetime.fromisoformat(ends).timestamp()}
        shell.api.store.delete("secrets", "team-a", SECRET)
        eventually(lambda: values(running, "rotator_heal_duration_seconds_count") == {(): 1}, "a heal that is counted")
        assert running.end() == 0


def test_a_standby_is_ready_too_and_says_nothing_of_how_things_stand(shell: Shell) -> None:
    """Until it leads: then it is as ready as the first was, and the series are its own."""
    shell.configure(ECR_ONLY + QUIET)
    with replica(shell, "one") as first:
        eventually(lambda: leads(first), "a leader")
        with replica(shell, "two") as second:
            eventually(lambda: page(second, "/readyz").status == 200, "a standby that is ready")
            assert values(second, "rotator_leader") == {(): 0}
            assert values(second, "rotator_credential_expiry_timestamp_seconds") == {}
            assert first.end() == 0
            eventually(lambda: values(second, "rotator_credential_expiry_timestamp_seconds"), "its own series")
            assert values(second, "rotator_leader") == {(): 1}
            assert second.end() == 0


def test_a_configuration_that_was_refused_is_shown_until_it_is_mended(shell: Shell) -> None:
    """Not ready, and a gauge for an alarm; while the work goes on."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: page(running, "/readyz").status == 200, "that it is ready")
        shell.configure("registries: []\n")
        eventually(lambda: page(running, "/readyz").status == 503, "the refusal")
        assert "[-]configuration failed: the file is refused" in page(running, "/readyz").text
        assert values(running, "rotator_configuration_last_reload_successful") == {(): 0}
        shell.add_namespaces("team-new")
        eventually(lambda: served(shell, "team-new"), "the work")
        shell.configure(ECR_ONLY + QUIET + "\n")
        eventually(lambda: page(running, "/readyz").status == 200, "that it is mended")
        assert values(running, "rotator_configuration_last_reload_successful") == {(): 1}
        assert running.end() == 0


def test_a_leader_that_can_no_longer_renew_its_lease_is_not_ready(shell: Shell) -> None:
    """Its name still stands in the Lease, but it is no standby: nobody writes any more, and the probe says so."""
    shell.configure(ECR_ONLY + QUIET + ELECTION)
    mended = threading.Event()

    def hang(call: Call) -> None:
        if call.place.resource.name == "leases" and call.verb == "update":
            mended.wait(PATIENCE)

    with shell.start("run") as running:
        eventually(lambda: page(running, "/readyz").status == 200, "that it is ready")
        shell.api.before_request(hang)
        eventually(lambda: running.events("lease.lost"), "the end of its lead")
        assert page(running, "/readyz").has("[-]first-pass failed: nobody leads")
        assert page(running, "/healthz").status == 200
        mended.set()
        eventually(lambda: page(running, "/readyz").status == 200, "that it leads again")
        assert running.end() == 0


def test_without_an_api_server_it_is_alive_and_not_ready(shell: Shell) -> None:
    """A restart would not bring the API server back."""
    shell.configure(ECR_ONLY + QUIET)
    shell.api.stop()
    with shell.start("run") as running:
        eventually(lambda: running.events("lease.failed"), "a look at the Lease")
        assert page(running, "/healthz").status == 200
        ready = page(running, "/readyz")
        assert (ready.status, "[-]first-pass failed: nobody leads" in ready.text) == (503, True)
        shell.api.start()
        eventually(lambda: page(running, "/readyz").status == 200, "that it is ready")
        assert running.end() == 0


@pytest.mark.parametrize(
    ("option", "address", "says"),
    [
        ("--metrics-address", "localhost", "is no address to listen on; write one as 0.0.0.0:8080"),
        ("--health-address", "127.0.0.1:99999", "is no address to listen on"),
    ],
)
def test_an_address_that_is_none_is_one_line(shell: Shell, option: str, address: str, says: str) -> None:
    """Exit code 2, before anything is asked of the cluster."""
    done = shell.run("run", option, address)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_in_use_is_one_line(shell: Shell) -> None:
    """What listens there is not disturbed, no Secret is written, and the Lease is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell.run("run", "--metrics-address", f"127.0.0.1:{taken.getsockname()[1]}", "--health-address", "off")
    assert done.returncode == 2
    assert "is in use; end what listens there, or choose another port" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert shell.writes() == 0
    assert shell.api.store.get("leases", "default", "rotator") is None
