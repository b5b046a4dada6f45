"""One auth file, two readers: what our keyring says of a kubelet, and what skopeo gets from a real registry.

Here stands in which forms of a key, and in which order, both agree: skopeo 1.9 is the one that takes the first match.
"""

from collections.abc import Iterator

import pytest

from rotator.keyring import PullSecretData, lookup
from rotator.model import DATA_KEY, SECRET_TYPE
from rotator.sandbox.internet import Internet
from tests.outside import GAR
from tests.registries import skopeo
from tests.registries.real import RealRegistry
from tests.registries.skopeo import auth_file

pytestmark = pytest.mark.usefixtures("real_programs")

FRESH, STALE = "fresh", "stale"
REPOSITORY = "team/app"

Keys = dict[str, str]


@pytest.fixture(scope="module")
def registry() -> Iterator[tuple[Internet, RealRegistry]]:
    """A real registry with one image."""
    with Internet() as net, RealRegistry(net, GAR) as running:
        running.push(REPOSITORY)
        yield net, running


@pytest.mark.parametrize(
    ("keys", "kubelet", "pulls"),
    [
        # One key. The plain host, as rotator writes it, is what both know.
        ({"HOST": FRESH}, [FRESH], True),
        ({"https://HOST": FRESH}, [FRESH], True),
        ({"https://HOST/": FRESH}, [FRESH], True),
        ({"https://HOST/v1/": FRESH}, [FRESH], True),
        ({"HOST/": FRESH}, [FRESH], False),
        ({"HOST/v2/": FRESH}, [FRESH], False),
        ({"HOST/team": FRESH}, [FRESH], True),
        ({"HOST/team/app": FRESH}, [FRESH], True),
        ({"HOST/te": FRESH}, [FRESH], False),
        ({"HOST/other": FRESH}, [], False),
        ({"https://HOST/other": FRESH}, [], True),
        ({"*.pkg.dev": FRESH}, [FRESH], False),
        ({"HOST:443": FRESH}, [], False),
        # Two keys that fit, one of them stale. A kubelet tries both; skopeo takes one: that with most of the path, else
        # the plain host, and a URL last.
        ({"HOST": FRESH, "https://HOST": STALE}, [FRESH, STALE], True),
        ({"HOST": STALE, "https://HOST": FRESH}, [STALE, FRESH], False),
        ({"HOST": FRESH, "HOST/team": STALE}, [STALE, FRESH], False),
        ({"HOST": STALE, "HOST/team": FRESH}, [FRESH, STALE], True),
        ({"HOST/team": FRESH, "HOST/team/app": STALE}, [STALE, FRESH], False),
        ({"HOST/team": STALE, "https://HOST": FRESH}, [STALE, FRESH], False),
        ({"HOST": FRESH, "https://HOST/team": STALE}, [STALE, FRESH], True),
        ({"HOST": FRESH, "HOST/te": STALE}, [STALE, FRESH], True),
        ({"HOST": FRESH, "*.pkg.dev": STALE}, [FRESH, STALE], True),
    ],
)
def test_what_a_kubelet_would_try_and_what_skopeo_gets(
    registry: tuple[Internet, RealRegistry], keys: Keys, kubelet: list[str], pulls: bool
) -> None:
    """Both readers, key form by key form: where a stale entry shadows a fresh one, and for whom."""
    net, real = registry
    credential = real.credential()
    passwords = {FRESH: credential.password, STALE: "stale"}
    entries = {key.replace("HOST", GAR): (credential.user, passwords[age]) for key, age in keys.items()}
    document = auth_file(entries)
    secret = PullSecretData("worker-pull", SECRET_TYPE, {DATA_KEY: document.decode()})
    tried = [match.password.reveal() for match in lookup([secret], real.image(REPOSITORY))]
    assert tried == [passwords[age] for age in kubelet]
    got = skopeo.pull(real.image(REPOSITORY), document, net)
    assert (got.ok, got.refused) == (pulls, not pulls)


def test_skopeo_needs_the_auth_field(registry: tuple[Internet, RealRegistry]) -> None:
    """User name and password in fields of their own are enough for a kubelet, and nothing to skopeo."""
    net, real = registry
    user, password = real.credential()
    document = f'{{"auths": {{"{GAR}": {{"username": "{user}", "password": "{password}"}}}}}}'
    secret = PullSecretData("worker-pull", SECRET_TYPE, {DATA_KEY: document})
    assert [match.password.reveal() for match in lookup([secret], real.image(REPOSITORY))] == [password]
    assert skopeo.pull(real.image(REPOSITORY), document.encode(), net).refused
