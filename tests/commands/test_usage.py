"""A user's mistakes: each is answered by one line that says what, where and what to do, and by its exit code."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from rotator.sandbox.authority import Authority
from tests.commands.shell import Shell
from tests.outside import CONFIG, ECR, GAR

NONE_ASKED = {"prod": 0, "images": 0, "contoso": 0}


@dataclass(frozen=True)
class Mistake:
    """How to make it (the words to type then), its exit code, and what the answer must say."""

    make: Callable[[Shell], Sequence[str]]
    code: int
    says: tuple[str, ...]


def config(text: str, command: str = "once") -> Callable[[Shell], Sequence[str]]:
    """This configuration."""

    def make(shell: Shell) -> Sequence[str]:
        shell.configure(text)
        return [command]

    return make


def typed(*words: str) -> Callable[[Shell], Sequence[str]]:
    """Just these words."""
    return lambda _: words


def config_in_a_loop(shell: Shell) -> Sequence[str]:
    """A symbolic link that leads to itself: it is there, and nobody can read it."""
    (shell.directory / "loop.yaml").symlink_to("loop.yaml")
    return ["once", "--config", "loop.yaml"]


def no_kubeconfig(shell: Shell) -> Sequence[str]:
    """Outside of a cluster, and nothing says which."""
    del shell.environment["KUBECONFIG"]
    return ["once"]


def broken_kubeconfig(shell: Shell) -> Sequence[str]:
    """A kubeconfig whose YAML broke where the token stands."""
    (shell.directory / "broken").write_text('users: [{name: me, user: {token: "t0ken-that-nobody-may-see}}]')
    return ["once", "--kubeconfig", "broken"]


def server_down(shell: Shell) -> Sequence[str]:
    """The API server refuses connections."""
    shell.api.stop()
    return ["once"]


def other_authority(shell: Shell) -> Sequence[str]:
    """The kubeconfig trusts another certificate authority than the API server's."""
    path = shell.directory / "kubeconfig"
    kubeconfig = json.loads(path.read_text())
    ca = shell.directory / "other-ca.pem"
    ca.write_bytes(Authority().ca_pem)
    del kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    kubeconfig["clusters"][0]["cluster"]["certificate-authority"] = str(ca)
    path.write_text(json.dumps(kubeconfig))
    return ["once"]


def stale_token(shell: Shell) -> Sequence[str]:
    """The kubeconfig's token was replaced."""
    shell.api.replace_token("rotator")
    return ["once"]


def no_permission(shell: Shell) -> Sequence[str]:
    """A user whom the API server knows, and who may do nothing."""
    shell.api.add_user("nobody", [])
    return ["once", "--kubeconfig", str(shell.api.kubeconfig(shell.directory / "nobody", "nobody"))]


TWICE = CONFIG.replace("images, contoso]", "images, contoso, copy]").replace(
    "pullSecrets:", f"  - {{name: copy, ecr: {{hosts: [{ECR}]}}}}\npullSecrets:"
)

MISTAKES = {
    # What is typed
    "unknown command": Mistake(typed("rotate"), 2, ("'rotate'", "rotator --help")),
    "unknown option": Mistake(typed("once", "--dry-run"), 2, ("--dry-run", "rotator once --help")),
    "unknown output": Mistake(typed("once", "-o", "xml"), 2, ("--output", "'json'", "'table'")),
    # The configuration
    "missing config": Mistake(typed("once", "--config", "nowhere.yaml"), 2, ("nowhere.yaml", "config.example.yaml")),
    "missing config of run": Mistake(typed("run", "--config", "nowhere.yaml"), 2, ("nowhere.yaml", "no such file")),
    "a directory": Mistake(typed("once", "--config", "."), 2, ("is a directory", "give the path of the file in it")),
    "unreadable config": Mistake(config_in_a_loop, 2, ("loop.yaml", "cannot be read", "readable file")),
    "bad YAML": Mistake(config("registries: [\n"), 2, ("config.yaml", "line")),
    "unknown key": Mistake(config(CONFIG + "renewals: {at: 0.5}\n"), 2, ("renewals", "did you mean renewal?")),
    "inline secret": Mistake(
        config(CONFIG.replace("type: workload", "type: workload, clientSecret: hunter2hunter2")),
        2,
        ("registries[2].acr.identity.clientSecret", "a secret belongs in a file or an environment variable"),
    ),
    "host of another cloud": Mistake(
        config(CONFIG.replace(GAR, "quay.io")), 2, ("registries[1].gar.hosts[0]", "allowHosts")
    ),
    "one host twice": Mistake(config(TWICE), 2, ("pullSecrets[0].registries", ECR, "prod", "copy")),
    # The cluster
    "no kubeconfig": Mistake(no_kubeconfig, 3, ("~/.kube/config", "--kubeconfig")),
    "missing kubeconfig": Mistake(typed("once", "--kubeconfig", "nowhere"), 3, ("nowhere", "no such file")),
    "broken kubeconfig": Mistake(broken_kubeconfig, 3, ("broken", "not YAML", "line 1")),
    "bad context": Mistake(typed("once", "--context", "staging"), 3, ("'staging'", "--context: sandbox")),
    "bad context of run": Mistake(typed("run", "--context", "staging"), 3, ("'staging'", "--context: sandbox")),
    "server down": Mistake(server_down, 3, ("127.0.0.1:", "refused the connection", "check the server's address")),
    "distrusted server": Mistake(other_authority, 3, ("certificate is not trusted", "certificate-authority")),
    "stale token": Mistake(stale_token, 3, ("401", "renew the credential of the kubeconfig's user")),
    "no permission": Mistake(no_permission, 3, ("list", "namespaces", "forbidden", "grant")),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_by_one_line_and_its_exit_code(shell: Shell, name: str) -> None:
    """What, where, what to do: on standard error, with nothing on standard output, and before any cloud is asked."""
    mistake = MISTAKES[name]
    done = shell.run(*mistake.make(shell))
    assert done.returncode == mistake.code
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rotator: ")
    for words in mistake.says:
        assert words in lines[0]
    assert "Traceback" not in done.stderr
    assert (shell.mints(), shell.writes()) == (NONE_ASKED, 0)


EVIL = (
    f"{ECR}.evil.example",
    f"{ECR}@evil.example",
    f"evil.example/{ECR}",
    f"https://{ECR}",
    f"{ECR}:8443",
    "123456789012xdkr.ecr.eu-west-1.amazonaws.com",  # a dot is a dot
    f"{ECR}\\n",  # a newline in YAML's double quotes, which `$` of a pattern would let pass
    ECR.replace("a", "\u0430", 1),  # a Cyrillic letter
    ECR.removeprefix("12"),
)


def test_a_host_that_only_looks_like_one_of_the_cloud_is_refused(shell: Shell) -> None:
    """A token that went to it would be lost: exit code 2, the path of each such host, and nobody was asked."""
    hosts = ", ".join(f'"{host}"' for host in (ECR, *EVIL))
    shell.configure(CONFIG.replace(f"hosts: [{ECR}]", f"hosts: [{hosts}]"))
    done = shell.run("once")
    assert (done.returncode, done.stdout) == (2, "")
    _, *problems = done.stderr.splitlines()
    refused = {line.strip().partition(":")[0] for line in problems}
    assert refused == {f"registries[0].ecr.hosts[{number}]" for number in range(1, len(EVIL) + 1)}
    assert all(line.isprintable() for line in problems)
    assert shell.mints() == NONE_ASKED


def test_every_problem_of_a_configuration_is_told_at_once(shell: Shell) -> None:
    """Three mistakes, three lines under one head, each with its path; whoever mends them runs once more, not thrice."""
    wrong = CONFIG.replace("deadline: 2s", "deadline: 2d", 1).replace(GAR, "gar.example").replace("workers", "Workers!")
    shell.configure(wrong)
    done = shell.run("once")
    head, *problems = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert head.endswith("config.yaml: 3 problems")
    assert {line.strip().partition(":")[0] for line in problems} == {
        "registries[0].deadline",
        "registries[1].gar.hosts[0]",
        "pullSecrets[0].serviceAccounts.names[0]",
    }


def test_without_a_command_the_commands_are_listed(shell: Shell) -> None:
    """`rotator` alone is a question, not a mistake in one line: the list of commands, and exit code 2."""
    done = shell.run()
    assert (done.returncode, done.stdout) == (2, "")
    for command in ("check", "demo", "once", "run", "schema"):
        assert f"\n  {command} " in done.stderr


@pytest.mark.parametrize("command", ["once", "check", "run"])
def test_help_says_the_options_and_the_exit_codes(shell: Shell, command: str) -> None:
    """On standard output, exit code 0, without a configuration or a cluster."""
    done = shell.run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("--config", "--kubeconfig", "--context", "--log-level", "Exit codes:", "3  the cluster cannot"):
        assert words in done.stdout
