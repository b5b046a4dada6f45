"""What the pages let a reader type or copy: commands that exist, policies that parse, and rights that only pull."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rotator.cli import cli
from tests.test_docs import PAGES, REPOSITORY
from tests.test_faults_doc import events

QUICKSTART = (REPOSITORY / "docs" / "quickstart.md").read_text()
SECURITY = (REPOSITORY / "docs" / "security.md").read_text()
FENCE = re.compile(r"^```(?:console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    str(page.relative_to(REPOSITORY)): [
        command
        for block in FENCE.findall(page.read_text())
        for command in re.findall(r"(?:^\$ |\| |; |&& )(rotator [^|>&;#\n]*)", block.replace("\\\n", ""), re.MULTILINE)
    ]
    for page in PAGES
}


@pytest.mark.parametrize("page", [page for page, commands in COMMANDS.items() if commands])
def test_every_command_in_a_block_can_be_typed(page: str) -> None:
    """It exists, has these options, and takes these words; those in capitals are the reader's."""
    for command in COMMANDS[page]:
        typed = command.replace("$IMAGE", "registry.example.com/rotator:1")
        _, name, *words = [word.lower() if word.isupper() else word for word in shlex.split(typed)]
        cli.commands[name].make_context(name, words)  # raises what a reader would be told


def test_every_event_of_the_log_that_a_page_names_is_logged() -> None:
    """Dotted, in the past tense: `mint.failed`."""
    for page in PAGES:
        named = set(re.findall(r"`([a-z]+\.[a-z]+ed)`", page.read_text()))
        assert named - {"prune.enabled"} <= events(), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_command_names_are_there(page: Path) -> None:
    """Those of the repository, from its root."""
    for block in FENCE.findall(page.read_text()):
        for path in re.findall(r"(?<![\w./-])((?:deploy|docs|locks)/[\w./-]+)", block):
            assert (REPOSITORY / path).exists(), path


def test_make_has_the_targets_that_pages_name() -> None:
    """`make playground`, for one."""
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make (?:[A-Z]+=\S+ )?([a-z]+)", page.read_text())) <= targets, page.name


# The quick start's side of the clouds --------------------------------------------------------------------------------


def policies() -> Iterator[dict[str, object]]:
    """Every statement of every policy in it."""
    for text in re.findall(r"<<'?JSON'?\n(.*?)^JSON$", QUICKSTART, re.MULTILINE | re.DOTALL):
        yield from json.loads(text)["Statement"]


def allowed(statement: dict[str, object]) -> set[str]:
    """The actions of it."""
    actions = statement["Action"]
    return {actions} if isinstance(actions, str) else {str(each) for each in actions}  # type: ignore[attr-defined]


def test_the_policies_of_aws_allow_what_the_security_page_calls_the_least() -> None:
    """And the trust of a role names rotator's ServiceAccount, or another role and a word that both know."""
    statements = list(policies())
    (least,) = re.findall(r"^\| AWS \| (.*) \|$", SECURITY, re.MULTILINE)
    pulling = [each for each in statements if any(action.startswith("ecr:") for action in allowed(each))]
    assert {action for each in pulling for action in allowed(each)} == set(re.findall(r"`(ecr:\w+)`", least))
    for each in pulling:
        assert each["Resource"] == "*" if allowed(each) == {"ecr:GetAuthorizationToken"} else "repository/" in str(each)
    others = [each for each in statements if each not in pulling]
    assert {action for each in others for action in allowed(each)} == {
        "sts:AssumeRole",
        "sts:TagSession",
        "sts:AssumeRoleWithWebIdentity",
    }
    conditions = [json.dumps(each["Condition"]) for each in others if "Principal" in each]
    for condition in conditions:
        assert "rotator" in condition or "sts:ExternalId" in condition


def test_google_and_azure_are_asked_for_reading_alone() -> None:
    """Each role that the quick start gives stands in the table of the security page."""
    given = set(re.findall(r"--role (\S+)", QUICKSTART))
    assert given == {"roles/artifactregistry.reader", "roles/iam.workloadIdentityUser", "AcrPull"}
    assert all(f"`{role}`" in SECURITY for role in given)


def test_every_cloud_trusts_the_service_account_that_is_installed() -> None:
    """`rotator` in the namespace `rotator`, however the cloud writes it."""
    named = set(re.findall(r"system:serviceaccount:[\w:-]+|ns/\w+/sa/\w+", QUICKSTART))
    assert named == {"system:serviceaccount:rotator:rotator", "ns/rotator/sa/rotator"}
    assert "--namespace rotator --service-account rotator" in QUICKSTART


def test_the_names_of_the_page_are_those_of_the_examples() -> None:
    """Of accounts, registries and identities: who copies both changes them together."""
    texts = [path.read_text() for path in (REPOSITORY / "deploy" / "examples").rglob("config.yaml")]
    hosts = {host for text in texts for host in re.findall(r"\d{12}\.dkr\.ecr[\w.-]+|[\w-]+\.azurecr\.io", text)}
    for host in hosts:
        account = host.partition(".")[0]
        assert account in QUICKSTART
    assert all(f"iam::{account}:role" in QUICKSTART for account in ("123456789012", "210987654321"))
    roles = {role for text in texts for role in re.findall(r"arn:aws:iam::\d+:role/[\w-]+", text)}
    assert all(role in QUICKSTART for role in roles)


def test_a_page_of_help_is_where_a_usage_error_sends_one() -> None:
    """A word that no command has is refused here as it is at a shell."""
    with pytest.raises(click.UsageError):
        cli.commands["status"].make_context("status", ["--namspace", "rotator"])
