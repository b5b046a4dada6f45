"""Invariant 7: no secret value in anything that is written, at level debug, whatever goes wrong.

The clouds remember every value that they issued or were shown. All of them, and the forms in which they stand in a
Secret, are searched for in everything that the program leaves behind.
"""

import base64
import json
from pathlib import Path

import pytest

from rotator.sandbox.faults import Fault
from tests.commands.shell import Shell
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR
from tests.waiting import eventually

DEBUG = ("--log-level", "debug")
QUICK = CONFIG.replace("deadline: 2s", "deadline: 1s")
SHORTEST = 12
"""Characters of a value that is searched for: by far the shortest secret is an AWS key of 40."""


def forms(shell: Shell) -> set[str]:
    """Every secret value there is, in every form in which it is kept or sent."""
    users = json.loads((shell.directory / "kubeconfig").read_text())["users"]
    values = shell.net.secrets() | {user["user"]["token"] for user in users}
    for secret in shell.api.store.list("secrets"):
        text = base64.b64decode(secret["data"][".dockerconfigjson"]).decode()
        values |= {secret["data"][".dockerconfigjson"], text}
        values |= {entry["auth"] for entry in json.loads(text)["auths"].values()}
    encoded = {base64.b64encode(value.encode()).decode() for value in values}
    return {value for value in values | encoded if len(value) >= SHORTEST}


def leaks(shell: Shell, *written: str) -> list[str]:
    """The beginnings of the secret values in what was written, in Secrets' metadata, Events, the API's journal."""
    metadata = [json.dumps(secret["metadata"]) for secret in shell.api.store.list("secrets")]
    events = [json.dumps(event) for event in shell.api.store.list("events")]
    everything = "\n".join((*written, *metadata, *events, repr(shell.api.journal.records)))
    return [value[:SHORTEST] for value in forms(shell) if value in everything]


def test_nothing_leaks_when_all_is_well(shell: Shell) -> None:
    """Each output, at level debug: and the search itself finds what is there to be found."""
    written = []
    for words in (("check", "-o", "json"), ("once", "-o", "table"), ("once", "-o", "json", "--log-format", "console")):
        done = shell.run(*words, *DEBUG)
        assert done.returncode == 0
        written += [done.stdout, done.stderr]
    assert "credential.minted" in "".join(written)
    assert leaks(shell, *written) == []
    assert leaks(shell, shell.password("team-a", ECR)) != []
    assert leaks(shell, shell.secret("team-a")["data"][".dockerconfigjson"]) != []


@pytest.mark.parametrize("fault", Fault)
def test_nothing_leaks_whatever_the_clouds_do(shell: Shell, fault: Fault) -> None:
    """All three clouds at once, with every word that the SDKs have for it: slower than the deadline is wrong too."""
    shell.configure(QUICK)
    shell.api.store.create_service_account("team-a", "turner")  # beside it stand the Events about registries
    shell.api.kubeconfig(shell.directory / "kubeconfig", "system:serviceaccount:team-a:turner")
    clouds = (shell.net.aws, shell.net.google, shell.net.azure)
    for cloud in clouds:
        cloud.fault = fault
    done = shell.run("once", "--output", "json", *DEBUG)
    assert all(cloud.calls.total() for cloud in clouds)
    failed = 0 if fault is Fault.NEARLY_SPENT else len(clouds)
    assert done.stderr.count("mint.failed") == failed
    told = [event["reason"] for event in shell.api.store.list("events")]
    assert told.count("RegistryCredentialMissing") == failed
    assert leaks(shell, done.stdout, done.stderr) == []


@pytest.mark.parametrize("fault", [Fault.ECHOING, Fault.REFUSING, Fault.MALFORMED])
def test_nothing_leaks_whatever_the_registries_answer(shell: Shell, fault: Fault) -> None:
    """The probe shows them the new credential; a careless proxy echoes it."""
    for host in (ECR, GAR, ACR):
        shell.net.registries[host].fault = fault
    done = shell.run("once", "--output", "json", *DEBUG)
    assert done.stderr.count("credential.probed") == 3
    assert leaks(shell, done.stdout, done.stderr) == []


def test_nothing_leaks_from_the_running_daemon(shell: Shell) -> None:
    """Neither in its log nor in its command line, which every user of the node may read."""
    with shell.start("run", *DEBUG) as running:
        eventually(lambda: running.events("pass.finished"), "a pass")
        arguments = Path(f"/proc/{running.process.pid}/cmdline")
        shown = arguments.read_text() if arguments.exists() else " ".join(map(str, running.process.args))  # type: ignore[arg-type]
        assert "rotator" in shown
        assert running.end() == 0
    assert leaks(shell, shown, running.log, running.out.read_text()) == []


@pytest.fixture
def broken(shell: Shell, tmp_path: Path) -> Path:
    """A directory whose modules come before the installed ones."""
    modules = tmp_path / "broken"
    modules.mkdir()
    shell.environment["PYTHONPATH"] = str(modules)
    return modules


def defect(shell: Shell) -> str:
    """A statement that fails with a secret in its words, as an SDK does that repeats an answer."""
    return f"raise RuntimeError('cannot read ' + {min(shell.net.secrets())!r})\n"


def test_an_sdk_that_fails_with_a_secret_in_its_words_is_not_repeated(shell: Shell, broken: Path) -> None:
    """A defect in one cloud's SDK: class and place are told, the others are served."""
    (broken / "boto3.py").write_text(defect(shell))
    done = shell.run("once", "--output", "json", *DEBUG)
    assert done.returncode == 1
    assert "RuntimeError at boto3.py:1" in done.stdout
    assert "Traceback" not in done.stderr
    assert set(shell.auths("team-a")) == {GAR, ACR}
    assert leaks(shell, done.stdout, done.stderr) == []


def test_a_crash_is_one_line_without_the_errors_words(shell: Shell, broken: Path) -> None:
    """An error that nobody foresaw, on the main thread: no traceback, which would print every chained error."""
    (broken / "apscheduler.py").write_text(defect(shell))
    done = shell.run("run", *DEBUG)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line == "rotator: unexpected RuntimeError at apscheduler.py:1 in <module>; please report this"
    assert leaks(shell, done.stderr) == []


def test_a_crash_of_a_thread_is_one_line_too(shell: Shell, broken: Path) -> None:
    """The probe asks each host in a thread of its own; Python would print its traceback. The mint counts."""
    shell.configure(ECR_ONLY)
    (broken / "sitecustomize.py").write_text(
        f"import requests.adapters\ndef send(*_, **__):\n    {defect(shell)}requests.adapters.HTTPAdapter.send = send\n"
    )
    done = shell.run("once", *DEBUG)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert lines == ["rotator: unexpected RuntimeError at sitecustomize.py:3 in send; please report this"]
    assert set(shell.auths("team-a")) == {ECR}
    assert leaks(shell, done.stdout, done.stderr) == []
