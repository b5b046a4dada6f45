"""What the scenarios rest on: a real registry honours a cloud's token for exactly as long as the cloud does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import urllib3

from rotator.sandbox.cloud import utc_now
from rotator.sandbox.internet import Internet
from tests.outside import ACR, ECR, GAR
from tests.registries import skopeo
from tests.registries.real import RealRegistry
from tests.registries.skopeo import auth_file

pytestmark = pytest.mark.usefixtures("real_programs")

HOSTS = [ECR, GAR, ACR]
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass
class Clock:
    """The clouds' clock, which a test sets wrong."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        """What it says."""
        return utc_now() + self.ahead


@pytest.fixture
def clock() -> Clock:
    """Right, at first."""
    return Clock()


@pytest.fixture
def net(clock: Clock) -> Iterator[Internet]:
    """The clouds."""
    with Internet(clock=clock) as running:
        yield running


@pytest.mark.parametrize("host", HOSTS)
def test_a_token_opens_it_until_the_cloud_ends_it(net: Internet, clock: Clock, host: str) -> None:
    """Old and new token side by side, then the new one alone; nothing is restarted."""
    with RealRegistry(net, host) as registry:
        image = registry.push("team/app")
        pid = registry.process.pid
        old, new = registry.credential(10 * MINUTE), registry.credential(HOUR)
        assert skopeo.pull(image, auth_file({host: old}), net).ok
        assert skopeo.pull(image, auth_file({host: new}), net).ok
        clock.ahead = 10 * MINUTE
        assert skopeo.pull(image, auth_file({host: old}), net).refused
        assert skopeo.pull(image, auth_file({host: new}), net).ok
        assert registry.process.pid == pid


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_else_opens_it(net: Internet, host: str) -> None:
    """No credential, a wrong one, another user's name, or the right one of somebody who may not pull."""
    with RealRegistry(net, host) as registry:
        image = registry.push("team/app")
        good = registry.credential()
        for authfile in (None, auth_file({host: (good.user, "wrong")}), auth_file({host: ("other", good.password)})):
            assert skopeo.pull(image, authfile, net).refused
        registry.may_pull = False
        assert skopeo.pull(image, auth_file({host: good}), net).refused
        registry.may_pull = True
        assert skopeo.pull(image, auth_file({host: good}), net) == skopeo.Pull(ok=True, message="")


@pytest.mark.parametrize(("host", "realm"), [(GAR, "/v2/token"), (ACR, "/oauth2/token")])
@pytest.mark.parametrize(("left", "status"), [(MINUTE / 2, 200), (-MINUTE / 2, 401)])
def test_a_token_of_its_own_ends_with_the_clouds(
    net: Internet, clock: Clock, host: str, realm: str, left: timedelta, status: int
) -> None:
    """docker-registry itself refuses what its token server gave, as soon as the cloud's token has ended.

    The cloud's clock is an hour late, so the token server gives one even if by the right time the token has ended.
    """
    clock.ahead = -HOUR
    with RealRegistry(net, host) as registry, proxied(net) as client:
        basic = urllib3.make_headers(basic_auth=":".join(registry.credential(HOUR + left)))
        asked = client.request("GET", f"https://{host}{realm}?scope=repository:team/app:pull", headers=basic)
        (own,) = json.loads(asked.data).values()
        listed = client.request("GET", f"https://{host}/v2/", headers={"Authorization": f"Bearer {own}"})
        assert listed.status == status


def test_who_gets_no_answer_was_not_refused(net: Internet) -> None:
    """A pull that fails for another reason proves nothing about a credential, and is not taken for a refusal."""
    with RealRegistry(net, GAR) as registry:
        image = registry.push("team/app")
        absent = skopeo.pull(registry.image("team/app", "absent"), auth_file({GAR: registry.credential()}), net)
        registry.process.stop()
        down = skopeo.pull(image, None, net)
        assert [(pulled.ok, pulled.refused) for pulled in (absent, down)] == [(False, False), (False, False)]


def test_nothing_of_it_is_left(net: Internet) -> None:
    """Its process has ended, and its host is the emulation's again."""
    with RealRegistry(net, GAR) as registry:
        process = Path(f"/proc/{registry.process.pid}")
        assert process.exists()
    assert not process.exists()
    assert net.hosts == {}


def proxied(net: Internet) -> urllib3.ProxyManager:
    """A bare client that reaches the clouds' hosts."""
    return urllib3.ProxyManager(net.proxy.url, ca_certs=str(net.ca_file), retries=False)
