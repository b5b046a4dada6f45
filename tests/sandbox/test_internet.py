"""The internet in one process: its proxy, its faults of time, and that it leaves nothing behind."""

import os
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet, without_ambient
from rotator.sandbox.server import LOOPBACK, Response

ENTRA = "https://login.microsoftonline.com/common/discovery/instance"
GAR = "https://europe-west1-docker.pkg.dev/v2/"


def test_an_unchanged_program_reaches_it() -> None:
    """A child process with the environment of `environment()` alone reaches a production host name over TLS."""
    program = f"import requests; print(requests.get({GAR!r}, timeout=10).status_code)"
    with Internet() as net:
        variables = without_ambient(os.environ) | net.environment()
        done = subprocess.run(  # noqa: S603  (the program is the line above)
            [sys.executable, "-c", program], env=variables, capture_output=True, check=True, text=True
        )
    assert done.stdout.strip() == "401"


def test_an_unknown_host_is_nowhere(net: Internet) -> None:
    """The proxy refuses what it does not know, and remembers that it was asked."""
    with pytest.raises(requests.exceptions.ProxyError, match="502"):
        requests.get("https://evil.example/", timeout=5)
    assert requests.get("http://plain.example/", timeout=5).status_code == 502
    assert net.proxy.unknown == {"evil.example", "plain.example"}


def test_a_host_can_be_added(net: Internet) -> None:
    """A scenario brings servers of its own, under any name."""
    net.hosts["registry.example"] = lambda request: Response(200, request.host.encode())
    assert requests.get("https://registry.example/", timeout=5).text == "registry.example"


def test_ambient_identities_are_left_out() -> None:
    """What tells a cloud SDK who it is, or which proxy to take, does not pass; the rest does."""
    environment = {"AWS_PROFILE": "x", "AZURE_CLIENT_ID": "x", "GOOGLE_APPLICATION_CREDENTIALS": "x", "no_proxy": "x"}
    assert without_ambient(environment | {"PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_slow_answer_comes_late_but_good(net: Internet) -> None:
    """SLOW delays the good answer by about a second."""
    net.azure.fault = Fault.SLOW
    began = time.monotonic()
    assert requests.get(ENTRA, timeout=5).json()["metadata"]
    assert time.monotonic() - began >= 1


def test_a_hung_answer_comes_when_the_fault_is_taken_back(net: Internet) -> None:
    """HUNG keeps silent; with the fault gone, whoever still waits is answered."""
    net.azure.fault = Fault.HUNG
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(requests.get(ENTRA, timeout=30).status_code))
    client.start()
    while not net.azure.calls:
        time.sleep(0.005)
    assert answers == []
    net.azure.fault = None
    client.join()
    assert answers == [200]


def test_a_dripping_answer_defeats_a_read_timeout(net: Internet) -> None:
    """DRIPPING sends a byte at a time: each read succeeds, the whole never comes."""
    net.azure.fault = Fault.DRIPPING
    with requests.get(ENTRA, timeout=2, stream=True) as answer:
        drops = [drop for drop, _ in zip(answer.iter_content(1), range(2), strict=False)]
    assert drops == [b"{", b'"']


def test_nothing_is_left_after_it() -> None:
    """Leaving closes every socket, thread and file, in the midst of hung and dripping answers."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    with Internet(life=timedelta(seconds=20)) as net:
        directory = net.ca_file.parent
        clients = [_ask(net, fault) for fault in (Fault.HUNG, Fault.DRIPPING)]
    for client in clients:
        client.close()
    assert set(threading.enumerate()) == threads
    assert _descriptors() == descriptors
    assert not directory.exists()


def _ask(net: Internet, fault: Fault) -> socket.socket:
    """A plain request of a node of Azure's, which will wait."""
    net.azure.fault, net.hosts["node.example"] = fault, net.azure.metadata
    calls = net.azure.calls["managedIdentity"]
    client = socket.create_connection((LOOPBACK, net.proxy.server.port))
    client.sendall(b"GET http://node.example/metadata/identity/oauth2/token HTTP/1.1\r\nHost: node.example\r\n\r\n")
    while net.azure.calls["managedIdentity"] == calls:
        time.sleep(0.005)
    return client


def _descriptors() -> set[str]:
    return {descriptor.name for descriptor in Path("/dev/fd").iterdir()}
