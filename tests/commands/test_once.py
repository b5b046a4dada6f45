"""`rotator once`: one pass, what it says on standard output and standard error, and its exit code."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rotator.sandbox.apiserver import Rule
from rotator.sandbox.faults import Fault
from tests.commands.shell import TEAMS, Shell
from tests.outside import ACR, CONFIG, ECR, GAR, SECRET
from tests.program import ANSI, COLUMNS, events_in

ALL = {ECR, GAR, ACR}
OTHERS = ("team-a", "team-c")
KEYS = {
    "credential.minted": {"registry", "reason", "expires_at", "life_s"},
    "credential.probed": {"registry", "host", "verdict", "message"},
    "reference.attached": {"namespace", "service_account", "pull_secret", "reason"},
    "secret.written": {"namespace", "secret", "pull_secret", "reason", "expires_at"},
    "pass.finished": {"namespace", "write", "attached", "written"},
}
RESULT = {"kind", "namespace", "name", "pullSecret", "state", "message", "hosts", "action", "outcome", "error"}
STATUS = {"name", "kind", "hosts", "minted", "expiresAt", "error", "nextAttemptAt"}


def test_all_well(shell: Shell) -> None:
    """Exit code 0; every Secret and reference is there; nothing on standard output; then there is nothing to do."""
    done = shell.run("once")
    assert (done.returncode, done.stdout) == (0, "")
    for team in TEAMS:
        assert set(shell.auths(team)) == ALL
        assert shell.references(team) == [SECRET]
    shell.forget()
    again = shell.run("once")
    assert again.returncode == 0
    assert (set(shell.mints().values()), shell.writes()) == ({0}, 0)
    assert [event["event"] for event in events_in(again.stderr)] == ["pass.finished"]


def test_it_tells_beside_the_objects_what_it_did(shell: Shell) -> None:
    """One Event for each reference, which is there when the program ends."""
    assert shell.run("once").returncode == 0
    told = [(event["involvedObject"]["namespace"], event["reason"]) for event in shell.api.store.list("events")]
    assert sorted(told) == [(team, "PullSecretAttached") for team in TEAMS]


def test_without_the_right_to_make_events_all_else_is_well(shell: Shell) -> None:
    """Exit code 0, every Secret is there, and one line names the rule."""
    shell.api.add_user("rotator", [Rule(("*",), ("namespaces", "secrets", "serviceaccounts"))])
    shell.api.kubeconfig(shell.directory / "kubeconfig")
    done = shell.run("once")
    assert done.returncode == 0
    assert all(set(shell.auths(team)) == ALL for team in TEAMS)
    (line,) = [event for event in events_in(done.stderr) if event["event"] == "event.failed"]
    assert (line["reason"], "verbs [create, patch] on events" in line["hint"]) == ("Forbidden", True)


def test_without_a_terminal_the_log_is_lines_of_json_with_fixed_keys(shell: Shell) -> None:
    """On standard error, one event a line, without escape codes."""
    done = shell.run("once")
    assert ANSI.search(done.stderr) is None
    events = events_in(done.stderr)
    assert {event["event"] for event in events} == set(KEYS)
    for event in events:
        assert event.keys() - {"event", "level", "time"} == KEYS[event["event"]]
    written = [event for event in events if event["event"] == "secret.written"]
    assert [event["namespace"] for event in sorted(written, key=lambda event: event["namespace"])] == list(TEAMS)


def test_output_json_is_one_document(shell: Shell) -> None:
    """The report on standard output, with its documented fields, and the log beside it on standard error."""
    done = shell.run("once", "--output", "json")
    report = json.loads(done.stdout)
    assert set(report) == {"exitCode", "summary", "registries", "changes"}
    assert (report["exitCode"], report["summary"]) == (0, {"attached": 3, "written": 3})
    assert [(status["name"], status["kind"], status["minted"]) for status in report["registries"]] == [
        ("prod", "ecr", True),
        ("images", "gar", True),
        ("contoso", "acr", True),
    ]
    assert all(set(status) == STATUS for status in report["registries"])
    assert all(set(change) == RESULT for change in report["changes"])
    secrets = [change for change in report["changes"] if change["kind"] == "Secret"]
    assert [(c["namespace"], c["state"], c["action"], c["outcome"]) for c in secrets] == [
        (team, "Missing", "create", "written") for team in TEAMS
    ]
    assert events_in(done.stderr)


def test_on_a_terminal_tables_say_it_all(shell: Shell) -> None:
    """A line for each registry and each pull secret, within 80 columns, and no log between them."""
    code, shown = shell.run_on_terminal("once")
    text = ANSI.sub("", shown)
    assert code == 0
    for kind, name in (("ecr", "prod"), ("gar", "images"), ("acr", "contoso")):
        assert any(line.split()[:2] == [name, kind] and "minted" in line for line in text.splitlines())
    assert any(line.split()[:3] == [SECRET, "3", "3"] and "3 written" in line for line in text.splitlines())
    assert "credential.minted" not in text
    # The cursor may go back to the line's begin: what then stands there is what is seen.
    assert max(len(line.rpartition("\r")[2]) for line in text.replace("\r\n", "\n").splitlines()) <= COLUMNS


@pytest.mark.parametrize(("words", "logged"), [((), False), (("--log-level", "warning"), True)])
def test_on_a_terminal_a_failure_is_a_line_and_a_log_only_if_asked(
    shell: Shell, words: tuple[str, ...], logged: bool
) -> None:
    """The table names the registry that failed and the reason; who asks for a log level gets its log beside it."""
    shell.net.google.fault = Fault.REFUSING
    code, shown = shell.run_on_terminal("once", *words)
    text = ANSI.sub("", shown)
    assert code == 1
    assert any(line.split()[:2] == ["images", "gar"] and "MintRefused" in line for line in text.splitlines())
    assert "✗ registry 'images'" in text
    assert ("mint.failed" in text) == logged
    assert "credential.minted" not in text


@pytest.mark.parametrize(("words", "expected"), [(("-o", "table"), "worker-pull"), (("-o", "logs"), "")])
def test_what_is_asked_for_overrules_the_terminal(shell: Shell, words: tuple[str, ...], expected: str) -> None:
    """Tables into a pipe, without escape codes; or logs only."""
    done = shell.run("once", *words)
    assert done.returncode == 0
    assert ANSI.search(done.stdout) is None
    assert expected in done.stdout
    assert bool(done.stdout) == bool(expected)


# Something failed, and the rest was done ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trouble:
    """How it comes about, what the report must say of it, and what is written all the same."""

    make: Callable[[Shell], None]
    says: tuple[str, ...]
    served: tuple[str, ...] = OTHERS
    hosts: frozenset[str] = frozenset(ALL)


def forbidden_namespace(shell: Shell) -> None:
    """A user who may read everything and write in two namespaces of three."""
    read = Rule(("get", "list", "watch"), ("namespaces", "secrets", "serviceaccounts"))
    write = Rule(("create", "patch"), ("secrets", "serviceaccounts"), namespaces=OTHERS)
    shell.api.add_user("limited", [read, write])
    shell.environment["KUBECONFIG"] = str(shell.api.kubeconfig(shell.directory / "limited", "limited"))


def put(content: str = '{"auths":{"ghcr.io":{"auth":"YTpi"}}}', **fields: object) -> Callable[[Shell], None]:
    """Somebody's Secret under our name in team-b, which the configuration would adopt if it could."""

    def make(shell: Shell) -> None:
        shell.configure(CONFIG + "    adopt: true\n")
        shell.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": content}, **fields)  # type: ignore[arg-type]

    return make


def foreign(shell: Shell) -> None:
    """The same, and nobody said that it may be adopted."""
    put()(shell)
    shell.configure(CONFIG)


def azure_refuses(shell: Shell) -> None:
    """The federated credential is not known there."""
    shell.net.azure.fault = Fault.REFUSING


def registry_refuses(shell: Shell) -> None:
    """The cloud gives a token, and it may not pull from the repository that the probe asks for."""
    shell.configure(CONFIG.replace(f"hosts: [{GAR}]}}", f"hosts: [{GAR}]}}, probe: {{repository: acme/images/app}}"))
    shell.net.registries[GAR].denied.add("acme/images/app")


def no_credentials_file(shell: Shell) -> None:
    """The configuration names a file that was not mounted."""
    shell.configure(CONFIG.replace(f"hosts: [{GAR}]", f"hosts: [{GAR}], credentialsFile: /nowhere/key.json"))


TROUBLES = {
    "forbidden in one namespace": Trouble(forbidden_namespace, ("team-b", "forbidden", "grant", "patch")),
    "foreign Secret": Trouble(foreign, ("Foreign", "adopt: true")),
    "wrong type": Trouble(put(type="Opaque"), ("WrongType", "Opaque", "delete this Secret")),
    "immutable Secret": Trouble(put(immutable=True), ("Immutable", "delete it")),
    "malformed Secret": Trouble(put('{"auths":[]}'), ("Malformed", "repair it")),
    "a broken neighbour": Trouble(put('{"auths":{"ghcr.io":{"auth":"%%%"}}}'), ("Malformed", "ghcr.io", "repair it")),
    "a cloud refuses": Trouble(azure_refuses, ("contoso", "refused"), TEAMS, frozenset({ECR, GAR})),
    "a registry refuses": Trouble(registry_refuses, ("images", GAR, "may pull"), TEAMS, frozenset({ECR, ACR})),
    "a file is missing": Trouble(
        no_credentials_file, ("images", "FileNotFoundError", "check gar.credentialsFile"), TEAMS, frozenset({ECR, ACR})
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_one_trouble_is_told_in_a_line_with_its_remedy_and_the_rest_is_done(shell: Shell, name: str) -> None:
    """Exit code 1; the report names the object and what to do; every other namespace and registry is served."""
    trouble = TROUBLES[name]
    trouble.make(shell)
    before = shell.api.store.get("secrets", "team-b", SECRET)
    done = shell.run("once", "--output", "json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = told(done.stdout)
    assert any(all(words in line for words in trouble.says) for line in lines), lines
    assert all("\n" not in line for line in lines)
    for team in trouble.served:
        assert set(shell.auths(team)) == trouble.hosts
        assert shell.references(team) == [SECRET]
    if "team-b" not in trouble.served:
        assert shell.api.store.get("secrets", "team-b", SECRET) == before
        assert shell.references("team-b") == []


def told(stdout: str) -> list[str]:
    """What the report says about each failure, one text for each."""
    report = json.loads(stdout)
    failed = [c for c in report["changes"] if c["error"] or c["state"] in {"Foreign", "WrongType", "Immutable"}]
    failed += [c for c in report["changes"] if c["state"] == "Malformed"]
    return [" ".join(str(change[key]) for key in ("namespace", "state", "message", "error")) for change in failed] + [
        f"{status['name']} {status['error']}" for status in report["registries"] if status["error"]
    ]


def test_every_trouble_at_once_still_serves_what_it_can(shell: Shell) -> None:
    """A cloud down, a Secret foreign and a namespace forbidden: what is left of the matrix is written."""
    shell.net.azure.fault = Fault.DOWN
    shell.api.faults.forbidden_namespaces.add("team-a")
    shell.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": '{"auths":{}}'})
    done = shell.run("once")
    assert done.returncode == 1
    assert set(shell.auths("team-c")) == {ECR, GAR}
    assert shell.writes() == 1
