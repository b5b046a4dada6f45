"""The text of a pull secret: what the kubelet reads in it, and what a write of ours keeps."""

import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from rotator.dockerconfig import Entry, digest_of, digests, holds_more, merge, names_host, parse, parse_legacy
from rotator.errors import DockerConfigError
from rotator.model import Credential, SecretText

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
OTHER_HOST = "europe-west1-docker.pkg.dev"


def credential(password: str = "fresh", username: str = "AWS") -> Credential:
    """A credential; its times play no part in the text."""
    return Credential(username, SecretText(password), NOW, NOW + timedelta(hours=12))


def auth(pair: str) -> str:
    """The value of `auth` for "username:password"."""
    return b64encode(pair.encode()).decode()


def merged(text: str | None, *hosts: str, drop: tuple[str, ...] = ()) -> str:
    """The text after a merge of the same credential for these hosts."""
    given = None if text is None else SecretText(text)
    return merge(given, dict.fromkeys(hosts, credential()), drop).reveal()


OURS = json.dumps({"auth": auth("AWS:fresh")}, separators=(",", ":"))


# --- parse


@pytest.mark.parametrize(
    ("entry", "username", "password"),
    [
        ('{"auth":"dTpw"}', "u", "p"),
        ('{"auth":"dTpwOng="}', "u", "p:x"),
        ('{"auth":"dTpwOng"}', "u", "p:x"),
        ('{"auth":"dTpw\\r\\nOng=\\n"}', "u", "p:x"),
        ('{"auth":"Og=="}', "", ""),
        ('{"auth":"Oh"}', "", ""),
        ('{"auth":"dTr/"}', "u", "\ufffd"),
        ('{"AUTH":"dTpw"}', "u", "p"),
        ('{"u\u017fername":"u","pa\u017fsword":"p"}', "u", "p"),
        ('{"username":"u","password":"p"}', "u", "p"),
        ('{"username":"u","password":"p","auth":""}', "u", "p"),
        ('{"username":"other","password":"other","auth":"dTpw"}', "u", "p"),
        ('{"username":"u","username":null}', "u", ""),
        ('{"username":"x","Username":"u"}', "u", ""),
        ('{"identitytoken":"t","auth":"dTpw"}', "u", "p"),
        ('{"extra":[{"auth":1}]}', "", ""),
        ("{}", "", ""),
        ("null", "", ""),
    ],
)
def test_an_entry_is_read_as_the_kubelet_does(entry: str, username: str, password: str) -> None:
    """Folded names, the last one wins, null changes nothing, and `auth` overrides the rest."""
    expected = {"reg.io": Entry(username, SecretText(password))}
    assert parse(f'{{"auths":{{"reg.io":{entry}}}}}') == expected
    assert parse_legacy(f'{{"reg.io":{entry}}}') == expected


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('"hushhush"', "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ('{"username":1}', "username is not a string"),
        ('{"Password":["hushhush"]}', "password is not a string"),
        ('{"email":true}', "email is not a string"),
        ('{"auth":{}}', "auth is not a string"),
        ('{"auth":"hush_hush"}', "auth is not base64"),
        ('{"auth":"hushhush="}', "auth is not base64"),
        ('{"auth":"hushhush=="}', "auth is not base64"),
        ('{"auth":"hushh"}', "auth is not base64"),
        ('{"auth":"hush hush"}', "auth is not base64"),
        ('{"auth":"\\n"}', "auth holds no colon"),
        ('{"auth":"hushhush"}', "auth holds no colon"),
    ],
)
def test_a_broken_entry_is_named_without_its_value(entry: str, problem: str) -> None:
    """The error says which key and what is wrong with it, and shows nothing of the value."""
    with pytest.raises(DockerConfigError, match=problem) as caught:
        parse(f'{{"auths":{{"reg.io":{entry}}}}}')
    assert "'reg.io'" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_password_in_a_key_is_not_shown() -> None:
    """A key may be a URL with a password in it, even one with slashes."""
    with pytest.raises(DockerConfigError) as caught:
        parse('{"auths":{"https://user:hush/hush@reg.io/team":1}}')
    assert "'https://***@reg.io/team'" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "null",
        '{"auths":null}',
        '{"auths":{}}',
        '{"auth":[]}',
        '{"credsStore":1}',
        '{"HttpHeaders":null}',
        '{"HttpHeaders":{"a":null,"b":"c"}}',
    ],
)
def test_no_auths_means_no_entries(text: str) -> None:
    """Absent and null are empty, not broken; unknown members may be anything."""
    assert parse(text) == {}
    assert digests(SecretText(text)) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"x"',
        "1",
        '{"auths":[]}',
        '{"auths":"x"}',
        '{"Auths":1}',
        '{"auths":{}',
        '{"auths":{}}{}',
        '{"auths":{},"HttpHeaders":[]}',
        '{"auths":{},"httpheaders":{"a":1}}',
        '{"auths":{"reg.io":1},"AUTHS":null}',
        '{"auths":{"reg.io":1,"reg.io":{}}}',
    ],
)
def test_a_text_that_the_kubelet_cannot_parse_is_refused_everywhere(text: str) -> None:
    """Syntax, wrong types, and what a later member would have overridden: parse, digests and merge all object."""
    with pytest.raises(DockerConfigError):
        parse(text)
    with pytest.raises(DockerConfigError):
        digests(SecretText(text))
    if text:
        with pytest.raises(DockerConfigError):
            merged(text, HOST)


def test_go_reads_every_spelling_of_auths_into_one_map() -> None:
    """Later members add to earlier ones, the last entry of a key wins whole, and null empties the map."""
    both = '{"auths":{"a.io":{"username":"u","password":"p"},"b.io":{}},"AUTH\u017f":{"a.io":{"username":"v"}}}'
    assert parse(both) == {"a.io": Entry("v", SecretText("")), "b.io": Entry("", SecretText(""))}
    assert parse('{"auths":{"a.io":{}},"Auths":null,"auths":{"b.io":{}}}').keys() == {"b.io"}


# --- digests


def test_the_digest_is_that_of_the_entry_without_space() -> None:
    """Spacing does not matter, content does, and keys stay as they are written."""
    text = SecretText('{ "auths" : { "https://a.io/v1/" : { "auth" : "dTpw" , "x" : 1.0 } } }')
    expected = hashlib.sha256(b'{"auth":"dTpw","x":1.0}').hexdigest()
    assert digests(text) == {"https://a.io/v1/": expected}


def test_what_we_write_has_the_digest_that_we_expect() -> None:
    """After a merge, the digest of our entry is `digest_of` its credential, and changes with it."""
    text = merge(None, {HOST: credential()})
    assert digests(text) == {HOST: digest_of(credential())}
    assert digest_of(credential("other")) != digest_of(credential())
    assert digest_of(credential(username="other")) != digest_of(credential())


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"{HOST}/v2/"])
@pytest.mark.parametrize("broken", ["1", '{"auth":"@@@"}', '{"username":[]}'])
def test_only_foreign_broken_entries_raise(key: str, broken: str) -> None:
    """A broken entry under a spelling of our host has a digest, because it will be replaced; a foreign one raises."""
    text = SecretText(f'{{"auths":{{"{key}":{broken}}}}}')
    assert digests(text, ours=(HOST,)) == {key: hashlib.sha256(broken.encode()).hexdigest()}
    assert merge(text, {HOST: credential()}) == merge(None, {HOST: credential()})
    with pytest.raises(DockerConfigError):
        digests(text, ours=(OTHER_HOST,))
    with pytest.raises(DockerConfigError):
        merge(text, {OTHER_HOST: credential()})


# --- names_host


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (HOST, True),
        (f"{HOST}/", True),
        (f"https://{HOST}", True),
        (f"http://{HOST}/", True),
        (f"https://{HOST}/v1/", True),
        (f"{HOST}/v2/", True),
        (f"user@{HOST}", True),
        (f"{HOST}?x", True),
        (f"{HOST}#x", True),
        (f"{HOST}/v1", False),
        (f"https://{HOST}/v2", False),
        (f"{HOST}/team", False),
        (f"{HOST}/v2/team", False),
        (f"{HOST}//", False),
        (f"{HOST}:443", False),
        (f"HTTPS://{HOST}", False),
        (f"https://https://{HOST}", False),
        (f"x{HOST}", False),
        (f"{HOST}.evil.example", False),
        (f"evil.example/{HOST}", False),
        (f"{HOST}@evil.example", False),
        (f"*.{HOST.partition('.')[2]}", False),
        (HOST.upper(), False),
        (f"{HOST}\n", False),
        ("", False),
    ],
)
def test_a_key_is_a_spelling_of_a_host_only_as_a_whole(key: str, same: bool) -> None:
    """What the kubelet reduces to the plain host is a spelling of it; a path, port or other host is another entry."""
    assert names_host(key, HOST) is same


# --- merge


def test_without_a_text_the_secret_holds_just_our_entries() -> None:
    """In the mapping's order, compact, and with nothing but `auth`."""
    expected = f'{{"auths":{{"{OTHER_HOST}":{OURS},"{HOST}":{OURS}}}}}'
    assert merged(None, OTHER_HOST, HOST) == expected
    assert merged("", OTHER_HOST, HOST) == expected


def test_foreign_content_survives_as_it_is() -> None:
    """Entries, unknown fields, numbers, escapes, duplicates and other top-level keys keep content, order and place."""
    before = (
        '{"credsStore":"x","auths":{"b.io":{"auth":"dTpw","n":1.50e3,"é":"\\u00e9\\/"},"'
        + HOST
        + '":{"auth":"b2xkOm9sZA=="},"a.io":{"email":"e","email":"f"}},"HttpHeaders":{"X":"y"},"x":[1e999]}'
    )
    assert merged(before, HOST) == before.replace('{"auth":"b2xkOm9sZA=="}', OURS)


def test_space_between_tokens_goes() -> None:
    """The result is compact, also inside of foreign entries, but not inside of strings."""
    assert merged('{\n "auths": {"a.io": {"x": [1, "a b"]} }\n}', HOST) == (
        f'{{"auths":{{"a.io":{{"x":[1,"a b"]}},"{HOST}":{OURS}}}}}'
    )


def test_our_host_keeps_its_place_and_a_new_one_comes_last() -> None:
    """A rotation changes one value and moves nothing."""
    before = f'{{"auths":{{"{HOST}":{{}},"a.io":{{}}}}}}'
    assert merged(before, OTHER_HOST, HOST) == f'{{"auths":{{"{HOST}":{OURS},"a.io":{{}},"{OTHER_HOST}":{OURS}}}}}'


def test_other_spellings_of_our_host_are_replaced() -> None:
    """The first spelling gives the place, the others go; entries for its paths stay."""
    before = f'{{"auths":{{"https://{HOST}":{{}},"{HOST}/team":{{}},"{HOST}":{{}},"{HOST}/v1/":{{}}}}}}'
    assert merged(before, HOST) == f'{{"auths":{{"{HOST}":{OURS},"{HOST}/team":{{}}}}}}'


def test_dropped_keys_go_unless_they_are_written() -> None:
    """`drop` removes the key as it is written, and no other; a host that has an entry is never dropped."""
    before = f'{{"auths":{{"{HOST}":{{}},"https://old.io":{{}},"old.io":{{}}}}}}'
    expected = f'{{"auths":{{"{HOST}":{OURS},"https://old.io":{{}}}}}}'
    assert merged(before, HOST, drop=("old.io", HOST, "absent.io")) == expected


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ('{"auths":{"a.example":{}}}', False),
        ('{"Auths":{},"auths":null}', False),
        ("{}", False),
        ('{"auths":{},"credsStore":"x"}', True),
        ('{"HttpHeaders":{}}', True),
    ],
)
def test_what_stands_beside_the_entries_is_more(text: str, more: bool) -> None:
    """Every spelling of `auths` that Go takes is the entries; anything else is a setting of somebody's."""
    assert holds_more(SecretText(text)) is more


def test_a_broken_entry_may_be_dropped() -> None:
    """What goes need not parse."""
    assert merged('{"auths":{"old.io":1}}', HOST, drop=("old.io",)) == f'{{"auths":{{"{HOST}":{OURS}}}}}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1,"Auths":{"a.io":{}},"b":2}', '{"a":1,"auths":{"a.io":{},%s},"b":2}'),
        ('{"AUTHS":{"a.io":{}},"b":2,"auths":{"b.io":{}}}', '{"auths":{"a.io":{},"b.io":{},%s},"b":2}'),
        ('{"auths":{"a.io":{}},"Auths":null}', '{"auths":{%s}}'),
        ('{"auths":null,"b":2}', '{"auths":{%s},"b":2}'),
        ('{"b":2}', '{"b":2,"auths":{%s}}'),
        ("{}", '{"auths":{%s}}'),
    ],
)
def test_there_is_one_auths_afterwards(before: str, after: str) -> None:
    """Go's spellings of `auths` become one, where the first stood, with the entries that Go saw."""
    assert merged(before, HOST) == after.replace("%s", f'"{HOST}":{OURS}')


@pytest.mark.parametrize("text", [None, "{}", '{"auths":{"old.io":{}}}'])
def test_an_empty_result_is_never_made(text: str | None) -> None:
    """Invariant 1: nothing empty is ever written."""
    with pytest.raises(ValueError, match="without entries"):
        merged(text, drop=("old.io",))


def test_the_result_can_always_be_encoded() -> None:
    """Bytes that were not UTF-8 become what the kubelet reads for them, so the write cannot fail over them."""
    before = b'{"auths":{"a.io":{"email":"\xff"}}}'.decode(errors="surrogateescape")
    assert '{"email":"\ufffd"}' in merged(before, HOST).encode().decode()


def test_no_value_in_an_error() -> None:
    """Invariant 7: whatever is wrong, text and credential stay out of the message, its cause and its repr."""
    for text in ('{"auths":{"a.io":{"auth":"hushhush"}}}', '{"auths":{"a.io":"hushhush"}}', '{"hushhush', '"hushhush"'):
        with pytest.raises(DockerConfigError) as caught:
            merge(SecretText(text), {HOST: credential("hushhush")})
        assert "hush" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
