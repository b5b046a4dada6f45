"""A merge over any text that a tenant may have written: what is foreign survives, and what is ours works."""

import json
from base64 import b64decode
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from rotator.dockerconfig import digest_of, digests, merge, names_host, parse
from rotator.errors import DockerConfigError
from rotator.keyring import PullSecretData, lookup
from rotator.model import DATA_KEY, SECRET_TYPE, Credential, SecretText
from tests.test_dockerconfig import HOST, OTHER_HOST, auth, credential, merged

Pairs = list[tuple[str, object]]

TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
HOSTS = st.sampled_from([HOST, OTHER_HOST, "contoso.azurecr.io", "reg.io:5000"])
SPELLINGS = st.sampled_from(["{}", "{}/", "https://{}", "http://{}/v1/", "{}/v2/", "{}/team", "{}/v2", "*.{}", "{}:80"])
KEYS = TEXTS | HOSTS | st.builds(str.format, SPELLINGS, HOSTS)
FIELDS = {
    "username": TEXTS,
    "password": TEXTS,
    "email": TEXTS,
    "auth": st.just("") | TEXTS.map(lambda text: auth(f":{text}")),
}
ENTRIES = st.builds(
    lambda known, extra: {f"x{name}": value for name, value in extra.items()} | known,
    st.fixed_dictionaries({}, optional=FIELDS),
    st.dictionaries(TEXTS, VALUES, max_size=2),
)
REST = st.dictionaries(TEXTS.map(lambda name: f"x{name}"), VALUES, max_size=3)
CREDENTIALS = st.builds(
    credential, st.text("abc=+/:.-_").map("hush{}".format), st.sampled_from(["AWS", "oauth2accesstoken"])
)
OUR_ENTRIES = st.dictionaries(HOSTS, CREDENTIALS, min_size=1, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> SecretText:
    """A text that a kubelet can parse, with entries of ours and of others, some under several spellings."""
    members: Pairs = list(draw(REST).items())
    members.insert(draw(st.integers(0, len(members))), ("auths", draw(st.dictionaries(KEYS, ENTRIES, max_size=5))))
    return SecretText(json.dumps(dict(members), indent=draw(st.none() | st.just(1)), ensure_ascii=draw(st.booleans())))


def foreign(text: SecretText, hosts: dict[str, Credential]) -> Pairs:
    """The entries that name none of these hosts, in order."""
    auths: dict[str, object] = json.loads(text.reveal())["auths"]
    return [pair for pair in auths.items() if not any(names_host(pair[0], host) for host in hosts)]


def beside_auths(text: SecretText) -> Pairs:
    """The other top-level members, in order."""
    document: dict[str, object] = json.loads(text.reveal())
    return [pair for pair in document.items() if pair[0] != "auths"]


@given(text=documents(), entries=OUR_ENTRIES)
@example(text=SecretText('{"auths":{"a":{"x":1e999}}}'), entries={HOST: credential()})
def test_foreign_entries_and_their_order_survive_every_merge(text: SecretText, entries: dict[str, Credential]) -> None:
    """Invariant 3, for any document: what is not ours is the same afterwards, in the same order."""
    after = merge(text, entries)
    assert foreign(after, entries) == foreign(text, entries)
    assert beside_auths(after) == beside_auths(text)
    unchanged = digests(text)
    assert all(digests(after)[key] == unchanged[key] for key, _ in foreign(text, entries))


@given(text=documents() | st.none(), entries=OUR_ENTRIES)
def test_a_merged_secret_yields_our_credential(text: SecretText | None, entries: dict[str, Credential]) -> None:
    """A kubelet finds our credential for each host, and no other one for the host as a whole."""
    after = merge(text, entries)
    for host, wanted in entries.items():
        found = lookup([PullSecretData("s", SECRET_TYPE, {DATA_KEY: after.reveal()})], f"{host}/team/app:1")
        of_host = [(match.username, match.password) for match in found if names_host(match.key, host)]
        assert of_host == [(wanted.username, wanted.password)]
        assert digests(after)[host] == digest_of(wanted)
        assert b64decode(json.loads(after.reveal())["auths"][host]["auth"]).decode() == (
            f"{wanted.username}:{wanted.password.reveal()}"
        )


@given(text=documents() | st.none(), entries=OUR_ENTRIES, drop=st.sets(KEYS, max_size=2))
def test_a_second_merge_changes_nothing(
    text: SecretText | None, entries: dict[str, Credential], drop: set[str]
) -> None:
    """The same merge again gives the same bytes, so an up-to-date Secret needs no write."""
    after = merge(text, entries, drop)
    assert merge(after, entries, drop) == after
    assert merge(after, entries) == after


@given(text=st.text() | VALUES.map(json.dumps) | documents().map(lambda text: text.reveal()[:-1]))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Whatever a tenant writes, nothing but a DockerConfigError comes of it, so one bad Secret stops no pass."""
    with suppress(DockerConfigError):
        digests(SecretText(text))
    with suppress(DockerConfigError):
        merged(text, HOST)


@given(text=documents(), entries=OUR_ENTRIES)
def test_no_password_prints(text: SecretText, entries: dict[str, Credential]) -> None:
    """Invariant 7: neither the merged text nor what is read in it shows a password, encoded or not."""
    after = merge(text, entries)
    shown = f"{after!r} {after} {parse(after.reveal())!r}"
    assert "hush" not in shown
    assert not any(json.loads(after.reveal())["auths"][host]["auth"] in shown for host in entries)
