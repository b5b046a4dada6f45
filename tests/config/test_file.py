"""The configuration's file: read whole or not at all, every problem at once, no value repeated."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rotator.config import Config, strictyaml
from rotator.config import file as configfile
from rotator.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
PLANTED = "hunter2-planted"

SMALL = """
registries:
  - name: prod
    ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}
  - name: contoso
    acr:
      hosts: [contoso.azurecr.io]
      identity: {type: workload}
pullSecrets:
  - name: worker-pull
    registries: [prod, contoso]
    namespaces: {names: [shuffle]}
renewal: {at: 0.5}
"""


def problems(text: str) -> tuple[str, ...]:
    """What is wrong with the text; nothing if it can be used."""
    try:
        configfile.parse(text, "test.yaml")
    except ConfigError as error:
        return error.problems
    return ()


def refusal(path: Path) -> str:
    """The one line that says why the file cannot be read."""
    with pytest.raises(ConfigError) as caught:
        configfile.load(path)
    assert caught.value.source == str(path)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    return problem


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    """The file and its text give the same configuration; a byte order mark does no harm."""
    path = tmp_path / "config.yaml"
    path.write_text(SMALL, encoding="utf-8-sig")
    assert configfile.load(path) == configfile.parse(SMALL, "test.yaml")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """The remedy names the example."""
    assert refusal(tmp_path / "no.yaml").startswith("there is no such file; write one after config.example.yaml")


def test_a_directory_is_one_line(tmp_path: Path) -> None:
    """A mounted ConfigMap is a directory: its file must be named."""
    assert refusal(tmp_path) == "is a directory; give the path of the file in it"


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:  # noqa: ARG001  (tmp_path is cleaned up as root, after this)
    """This process without root's right to read every file."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("nobody")
def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    """The remedy is its owner or mode."""
    path = tmp_path / "config.yaml"
    if os.access(tmp_path, os.W_OK, effective_ids=True):  # root's directory is closed to nobody anyway
        path.touch(mode=0o000)
    assert refusal(path) == "may not be read by this user; change its owner or its mode"


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_an_impossible_path_is_one_line(tmp_path: Path, name: str) -> None:
    """Whatever the system says about a path, it is no traceback."""
    assert re.fullmatch(r"cannot be read \(\w+\); give the path of a readable file", refusal(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty; write registries and pullSecrets (config.example.yaml shows all settings)"),
        (b"a: \xff", "is no UTF-8 text from byte 3 on; save it as UTF-8"),
        ("a: b".encode("utf-16"), "is no UTF-8 text from byte 0 on; save it as UTF-8"),
        (b"a" * (strictyaml.LARGEST + 1), strictyaml.TOO_LARGE),
        (b"\xff" * (strictyaml.LARGEST + 1), strictyaml.TOO_LARGE),
    ],
)
def test_a_file_that_is_no_configuration_is_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    """The wrong file given by mistake is told from a wrong configuration."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert refusal(path) == problem


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("renewal:", "renewals:", "renewals: is no setting; did you mean renewal?"),
        ("name: prod", "nmae: prod", 'registries[0].name: is missing; write it, as in name: "prod"'),
        ("pullSecrets:", "pull_secrets:", "did you mean pullSecrets?"),
        ("{at: 0.5}", "{at: 0.5, zzz: 1}", "renewal.zzz: is no setting; remove it, or write one of at, jitter, sweep"),
        ("{at: 0.5}", "{at: 0.5, 'a\\nb': 1}", 'renewal."a\\\\nb": is no setting'),
        ("{at: 0.5}", "", "renewal: is empty; write a mapping, or leave an optional key out"),
        ("{at: 0.5}", "5", "renewal: must be a mapping; write its settings as key: value"),
        ("{at: 0.5}", "{at: yes}", "renewal.at: must be a share; write a number as 0.1 or a percentage as 10%"),
        ("{at: 0.5}", "{at: 10}", "renewal.at: must be from 0.05 to 0.95 (5% to 95%), because"),
        ("{at: 0.5}", "{at: .nan}", "renewal.at: must be from 0.05 to 0.95"),
        ("{at: 0.5}", "{jitter: 60%}", "renewal.jitter: must be from 0 to 0.5 (0% to 50%), because"),
        ("{at: 0.5}", "{sweep: 300}", "renewal.sweep: must be a duration with its units; write for example 90s"),
        ("{at: 0.5}", "{sweep: 1s}", "renewal.sweep: must be from 2s to 1h, because"),
        (
            "name: prod",
            "{name: prod, deadline: 3m}"[1:-1].replace(", ", "\n    "),
            "deadline: must be from 1s to 2m, because",
        ),
        ("[shuffle]", "shuffle", "names: must be a list; write - before each item, or [ ] around them, as in names: ["),
        ("[shuffle]", "[]", "pullSecrets[0].namespaces.names: is an empty list; list at least one"),
        ("[shuffle]", "[shuffle, 5]", "pullSecrets[0].namespaces.names[1]: must be text; put it in quotes"),
        ("[shuffle]", "[shuffle, on]", "pullSecrets[0].namespaces.names[1]: must be text; put it in quotes"),
        (
            "[shuffle]",
            "[Shuffle]",
            "pullSecrets[0].namespaces.names[0]: must be a namespace, or a pattern of some; write",
        ),
        ("[shuffle]}", "[shuffle], labels: a=b=c}", "pullSecrets[0].namespaces.labels: requirement 1 of the selector"),
        (
            "worker-pull",
            "worker-pull\n    adopt: 'no'",
            "adopt: must be true or false; write one of them, without quotes",
        ),
        (
            "worker-pull",
            "worker-pull\n    serviceAccounts: {mode: fix}",
            "mode: has no such choice; write 'ensure' or 'verify'",
        ),
        (
            "{type: workload}",
            "{type: magic}",
            "registries[1].acr.identity: has no type that is known; write type: and one of",
        ),
        (
            "{type: workload}",
            "{clientId: a}",
            "registries[1].acr.identity: has no type that is known; write type: and one of",
        ),
        (
            "{type: workload}",
            "workload",
            "registries[1].acr.identity: must be a mapping; write its settings as key: value",
        ),
        (
            "{type: workload}",
            "{type: workload, clientid: a}",
            "registries[1].acr.identity.clientid: is no setting; did you mean clientId?",
        ),
        (
            "{type: workload}",
            "{type: managed, clientId: a}",
            "registries[1].acr.identity.clientId: must be a GUID; write",
        ),
        (
            "{type: workload}",
            "{type: clientSecret, clientId: 00000000-0000-0000-0000-000000000000, tenantId: contoso.example}",
            "registries[1].acr.identity: has none of secretFile, secretEnv; write exactly one of them",
        ),
        ("registries: [prod, contoso]", "registries: [prod, cotoso]", 'no registry "cotoso"; did you mean "contoso"?'),
        (SMALL, "text", "the file: must be a mapping; write its settings as key: value"),
    ],
)
def test_each_mistake_says_what_to_write(old: str, new: str, problem: str) -> None:
    """One line: the path as the file spells it, what is wrong, and what to write instead."""
    assert old in SMALL
    assert any(problem in line for line in problems(SMALL.replace(old, new)))


def test_every_problem_is_told_at_once() -> None:
    """Types, rules and repeated keys, in every part, sorted by their place; the source and the count stand first."""
    text = """
registries:
  - name: Prod
    probe: 5
    ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com, evil.example], hosts: [], region: us-east-1}
  - name: images
    gar: {hosts: [evilgcr.io], impersonate: {lifetime: 13h}}
pullSecrets:
  - name: worker_pull
    registries: [Prod, imagse]
"""
    with pytest.raises(ConfigError) as caught:
        configfile.parse(text, "test.yaml")
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "line 5",
        "pullSecrets[0].name",
        "pullSecrets[0].namespaces",
        "pullSecrets[0].registries[0]",
        "pullSecrets[0].registries[1]",
        "registries[0].ecr.hosts[1]",
        "registries[0].ecr.region",
        "registries[0].name",
        "registries[0].probe",
        "registries[1].gar.hosts[0]",
        "registries[1].gar.impersonate.lifetime",
        "registries[1].gar.impersonate.serviceAccount",
    ]
    assert str(caught.value).startswith("test.yaml: 12 problems\n  line 5: repeats")
    assert caught.value.exit_code == 2


def test_problems_stand_in_the_order_of_the_list() -> None:
    """The tenth comes after the second, as in the file."""
    found = problems(SMALL.replace("[shuffle]", f"[{', '.join(['A', *'bcdefghi', 'J', 'K'])}]"))
    assert [problem.partition(": ")[0] for problem in found] == [
        f"pullSecrets[0].namespaces.names[{number}]" for number in (0, 9, 10)
    ]


def test_a_rule_that_its_type_holds_too_is_told_once() -> None:
    """The same words for the same place are one problem."""
    text = SMALL.replace("ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}", "deadline: 5s")
    assert problems(text) == ("registries[0]: has none of ecr, gar, acr; write exactly one of them",)


def test_no_more_problems_than_one_reads() -> None:
    """A file of another program does not fill the screen."""
    found = problems("\n".join(f"key{number}: 1" for number in range(1000)))
    assert len(found) == 51
    assert found[-1] == "and 952 more; mend these first"


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("{hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]", "secretAccessKey"),
        ("{hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]", "password"),
        ("{type: workload", "secret"),
        ("{type: workload", "clientSecret"),
        ("{type: workload", "token"),
        ("{names: [shuffle]", "dockerAuth"),
        ("{at: 0.5", "apiKey"),
    ],
)
@pytest.mark.parametrize("value", [PLANTED, f"[{PLANTED}]", f"{{a: {PLANTED}}}", f"'{PLANTED}\\n'"])
def test_a_secret_in_this_file_is_refused_and_not_shown(place: str, key: str, value: str) -> None:
    """The message names the key and where a secret belongs; the exception holds the value nowhere."""
    with pytest.raises(ConfigError) as caught:
        configfile.parse(SMALL.replace(place, f"{place}, {key}: {value}"), "test.yaml")
    (problem,) = caught.value.problems
    assert f".{key}: is no setting; a secret belongs in a file or an environment variable, never here" in problem
    assert PLANTED not in f"{caught.value} {caught.value!r}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "setting",
    [
        f"{{type: clientSecret, clientId: {PLANTED}, tenantId: {PLANTED}~, secretEnv: {PLANTED}}}",
        f"{{type: clientSecret, secretFile: {PLANTED}}}",
        f"{{type: clientCertificate, certificateFile: {PLANTED}, passwordFile: {PLANTED}, passwordEnv: {PLANTED}}}",
        f"{{type: managed, resourceId: {PLANTED}}}",
        f"{{type: workload, tokenFile: {PLANTED}}}",
        f"{{type: {PLANTED}}}",
        PLANTED,
    ],
)
def test_a_secret_in_place_of_its_name_is_not_shown(setting: str) -> None:
    """Whoever writes the secret where its file or variable belongs reads a remedy, not the secret."""
    found = problems(SMALL.replace("{type: workload}", setting))
    assert found
    assert PLANTED not in "".join(found)


NAMES = st.sampled_from(
    [
        "registries",
        "pullSecrets",
        "renewal",
        "name",
        "ecr",
        "gar",
        "acr",
        "hosts",
        "identity",
        "type",
        "region",
        "probe",
        "namespaces",
        "names",
        "labels",
        "serviceAccounts",
        "assumeRole",
        "arn",
        "impersonate",
        "lifetime",
        "allowHosts",
        "at",
        "deadline",
        "cloud",
        "repository",
        "delegates",
        "x",
        "",
        "a\nb",
        "workload",
        "default",
        "clientSecret",
    ]
)
SECRET_NAMES = st.sampled_from(
    ["password", "secret", "secretAccessKey", "token", "clientSecret", "credentials", "apiKey"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=4)
        | st.fixed_dictionaries({}, optional={"password": st.just(PLANTED)})
        | st.builds(lambda key: {key: PLANTED}, SECRET_NAMES)
    ),
    max_leaves=25,
)


@given(st.fixed_dictionaries({"registries": st.lists(VALUES, max_size=3), "pullSecrets": st.lists(VALUES, max_size=3)}))
def test_any_data_is_refused_in_our_words(data: dict[str, Any]) -> None:
    """Whatever stands in the file: one-line problems with a remedy, none of pydantic's words, no planted secret."""
    found = problems(yaml.safe_dump(data))
    assert found
    for problem in found:
        assert "\n" not in problem
        assert "; " in problem
        assert not re.search(r"Input should|Value error|Field required|Extra inputs|validation error", problem)
        assert PLANTED not in problem


@given(st.text(max_size=200) | st.text(alphabet="abregistries:{}[]- \n&*!'\"0", max_size=100))
def test_any_text_is_refused_in_one_way(text: str) -> None:
    """No text raises anything but a ConfigError."""
    assert all("\n" not in problem for problem in problems(text))


def test_the_example_is_sound() -> None:
    """The documented example loads without a problem."""
    example = configfile.load(EXAMPLE)
    assert {registry.kind for registry in example.registries} == {"ecr", "gar", "acr"}


def settings(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting of every part, by its name."""
    for part in (schema, *schema["$defs"].values()):
        yield from part["properties"].items()


def test_the_schema_is_a_schema_and_accepts_the_example() -> None:
    """An editor that checks against it agrees with rotator about the documented example."""
    schema = configfile.schema()
    Draft202012Validator.check_schema(schema)
    data, _ = strictyaml.read(EXAMPLE.read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{at: 0.5}", "{sweep: 300}"),
        ("{at: 0.5}", "{sweep: 1d}"),
        ("{at: 0.5}", "{at: 2}"),
        ("{at: 0.5}", "{at: half}"),
        ("{at: 0.5}", "{unknown: 1}"),
        ("{type: workload}", "{type: clientSecret}"),
        ("{type: workload}", "{tenantId: contoso.example}"),
        ("{type: workload}", "{type: workload, clientId: a}"),
        ("acr:", "gar: {hosts: [gcr.io]}\n    acr:"),
        ("[shuffle]", "[]"),
        ("[shuffle]", "[Shuffle]"),
        ("[shuffle]", "[shuffle, shuffle]"),
    ],
)
def test_the_schema_refuses_what_rotator_refuses(old: str, new: str) -> None:
    """Forms, bounds, unknown keys and required settings are in the schema, too."""
    text = SMALL.replace(old, new)
    data, _ = strictyaml.read(text)
    assert problems(text)
    assert not Draft202012Validator(configfile.schema()).is_valid(data)


def test_every_setting_is_described() -> None:
    """Each says what it is, with its default or that it is required."""
    found = dict(settings(configfile.schema()))
    assert len(found) > 40
    for name, setting in found.items():
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)
        assert setting["title"]
        assert setting["description"].endswith(".")


def test_every_default_is_the_one_that_is_described() -> None:
    """The description, which is all that a user reads, tells the value in the code."""
    for name, setting in settings(configfile.schema()):
        default = setting.get("default")
        if isinstance(default, (str, bool, int, float)):
            spelled = {str(default), str(default).lower()} | (
                {f"{default:.0%}"} if isinstance(default, float) else set()
            )
            assert any(f"Default: {text}" in setting["description"] for text in spelled) or name == "type"


def test_durations_stand_in_the_schema_as_they_are_written() -> None:
    """A default of 20 s is `20s`, not PT20S."""
    schema = configfile.schema()
    assert schema["$defs"]["Registry"]["properties"]["deadline"]["default"] == "20s"
    assert schema["$defs"]["Renewal"]["properties"]["sweep"]["default"] == "5m"
    assert schema["$defs"]["Impersonate"]["properties"]["lifetime"]["default"] == "1h"


def test_the_example_explains_every_setting_in_the_schemas_words() -> None:
    """The example is the reference: each setting stands in it, under the description that the schema gives."""
    lines = [line.strip() for line in EXAMPLE.read_text().splitlines()]
    text = " ".join(line.removeprefix("#").strip() for line in lines)
    for name, setting in settings(configfile.schema()):
        assert re.search(rf"\b{name}:", text), name
        assert setting["description"] in text, name


def test_the_example_serves_shuffle_with_least_privilege() -> None:
    """One namespace, and the ServiceAccounts whose Pods pull, by name."""
    secret = configfile.load(EXAMPLE).pull_secrets[0]
    assert secret.namespaces.names == ("shuffle",)
    assert secret.service_accounts.names == ("shuffle-workers", "shuffle-app")
    assert not secret.adopt


def test_a_configuration_is_what_was_written() -> None:
    """Durations and shares arrive as such."""
    text = SMALL.replace("{at: 0.5}", "{at: 25%, jitter: 0, sweep: 1h}")
    renewal = configfile.parse(text, "test.yaml").renewal
    assert (renewal.at, renewal.jitter, renewal.sweep) == (0.25, 0.0, timedelta(hours=1))
    assert isinstance(configfile.parse(text, "test.yaml"), Config)
