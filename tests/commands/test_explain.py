"""`rotator explain`: what a kubelet would do for an image, and whether it pulls; a kubelet is asked for comparison."""

import base64
import json
from typing import Any

import pytest

from rotator.sandbox.worker import Image
from tests.commands.shell import Shell
from tests.outside import ACR, ECR, GAR, SECRET

IMAGE = Image(ECR, "shuffle/worker", "1.4")
ACCOUNT = "workers"


def leaked(shell: Shell, text: str) -> list[str]:
    """The secret values in it; a shorter one is a word like any other."""
    return [secret for secret in shell.net.secrets() if len(secret) > 8 and secret in text]


def explained(shell: Shell, *words: str, image: Image = IMAGE) -> dict[str, Any]:
    """What it says as JSON, with the exit code that goes with it; a kubelet that pulls now must agree."""
    chosen = words or ("--service-account", ACCOUNT)
    done = shell.run("explain", str(image), "-n", "team-a", *chosen, "-o", "json")
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["verdict"].startswith("Pulls") else 1)
    assert not leaked(shell, done.stdout)
    if not words:
        with shell.kubelet() as node:
            pod = node.create("team-a", f"p-{len(shell.api.store.list('pods'))}", ACCOUNT, image)
            assert pod is not None
            assert node.pull(pod, image).ok == (found["verdict"] == "Pulls")
    return found


@pytest.fixture
def served(shell: Shell) -> Shell:
    """After one pass."""
    assert shell.run("once").returncode == 0
    return shell


@pytest.mark.parametrize(
    ("host", "registry", "repository"),
    [(ECR, "prod", "shuffle/worker"), (GAR, "images", "acme/images/app"), (ACR, "contoso", "tools/runner")],
)
def test_a_fresh_credential_pulls(served: Shell, host: str, registry: str, repository: str) -> None:
    """Whose it is and how old, and what the registry says to it."""
    found = explained(served, image=Image(host, repository))
    (step,) = found["steps"]
    assert found["verdict"] == "Pulls"
    assert (step["pullSecret"], step["key"], step["verdict"]) == (SECRET, host, "Accepted")
    assert step["registry"] == registry
    noted = json.loads(served.secret("team-a")["metadata"]["annotations"]["rotator.dev/entries"])[host]
    assert (step["issuedAt"], step["expiresAt"]) == (noted["issuedAt"], noted["expiresAt"])


def test_a_credential_that_somebody_else_wrote_is_refused_and_said_to_be_theirs(served: Shell) -> None:
    """The entry was edited: it is no longer what rotator wrote, and the registry does not take it."""

    def edit(secret: dict[str, Any]) -> None:
        document = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        document["auths"][ECR]["auth"] = base64.b64encode(b"AWS:edited").decode()
        secret["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(document).encode()).decode()

    served.api.store.change("secrets", "team-a", SECRET, edit)
    found = explained(served)
    assert (found["verdict"], found["steps"][0]["registry"]) == ("Refused", None)
    assert "refuses the credential" in found["message"]


def test_the_next_credential_is_tried_where_one_is_refused(served: Shell) -> None:
    """As the kubelet does; and a Secret that is not there, or has nothing for the image, is named and passed over."""
    bad = {"auths": {ECR: {"auth": base64.b64encode(b"AWS:old").decode()}}}
    served.api.store.put_secret("team-a", "old-pull", {".dockerconfigjson": json.dumps(bad)})
    served.api.store.put_secret(
        "team-a", "hub-pull", {".dockerconfigjson": '{"auths": {"docker.io": {"auth": "YTpi"}}}'}
    )
    names = ["gone-pull", "old-pull", "hub-pull", SECRET]

    def refer(account: dict[str, Any]) -> None:
        account["imagePullSecrets"] = [{"name": name} for name in names]

    served.api.store.change("serviceaccounts", "team-a", ACCOUNT, refer)
    found = explained(served)
    assert found["verdict"] == "Pulls"
    assert [(step["pullSecret"], step["verdict"]) for step in found["steps"]] == [
        ("old-pull", "Refused"),
        (SECRET, "Accepted"),
        ("hub-pull", None),
        ("gone-pull", None),
    ]


def test_a_neighbour_that_does_not_parse_fails_every_pull(served: Shell) -> None:
    """It is named, whatever registry it is for."""
    served.api.store.put_secret("team-a", "broken", {".dockerconfigjson": '{"auths": {"ghcr.io": {"auth": "%%%"}}}'})
    served.api.store.change(
        "serviceaccounts", "team-a", ACCOUNT, lambda account: account["imagePullSecrets"].append({"name": "broken"})
    )
    found = explained(served)
    assert found["verdict"] == "Unparsable"
    assert "pull secret broken does not parse" in found["message"]


def test_a_pod_that_was_created_before_its_reference_is_told_from_a_new_one(shell: Shell) -> None:
    """The Pod has no pull secret and never gets one; a Pod that is created now pulls."""
    shell.api.store.create_pod("team-a", "early", str(IMAGE), ACCOUNT)
    assert shell.run("once").returncode == 0
    found = explained(shell, "--pod", "early")
    assert (found["puller"], found["verdict"]) == ("Pod early", "NoCredential")
    assert "there is no pull secret" in found["message"]
    assert explained(shell)["verdict"] == "Pulls"


def test_an_image_that_no_pull_secret_is_for(served: Shell) -> None:
    """Another account's registry: the pull secrets are there, and none fits."""
    found = explained(served, image=Image(ECR.replace("123456789012", "999999999999"), "a/b"))
    assert found["verdict"] in {"NoCredential", "Undecided"}
    assert [step["message"] for step in found["steps"]] == ["has no entry for this image"]


def test_the_table_is_readable_at_eighty_columns(served: Shell) -> None:
    """The verdict is the last line; nothing is cut off, and no credential is shown."""
    code, shown = served.run_on_terminal("explain", str(IMAGE), "-n", "team-a", "--service-account", ACCOUNT)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert code == 0
    assert any("Pulls: credential 1 of those tried opens it" in line for line in lines[-2:])
    assert not leaked(served, shown)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((str(IMAGE), "-n", "team-a"), 2, "name a Pod with --pod, or a ServiceAccount"),
        ((str(IMAGE), "-n", "team-a", "-s", "a", "-p", "b"), 2, "name a Pod with --pod, or a ServiceAccount"),
        ((str(IMAGE), "-s", ACCOUNT), 2, "--namespace"),
        (("UPPER/CASE:x", "-n", "team-a", "-s", ACCOUNT), 2, "is not a valid name; write host/path:tag"),
        ((str(IMAGE), "-n", "team-a", "-s", "nobody"), 1, "get serviceaccounts nobody in namespace team-a: not found"),
        ((str(IMAGE), "-n", "team-a", "-p", "nothing"), 1, "get pods nothing in namespace team-a: not found"),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, words: tuple[str, ...], code: int, says: str) -> None:
    """It says what is wrong and where."""
    done = shell.run("explain", *words)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert says in line


def test_who_may_not_read_a_secret_is_told_the_rule(served: Shell) -> None:
    """It reads with the caller's own rights."""
    served.api.add_user("reader", [])
    served.environment["KUBECONFIG"] = str(served.api.kubeconfig(served.directory / "reader", "reader"))
    done = served.run("explain", str(IMAGE), "-n", "team-a", "-s", ACCOUNT)
    assert done.returncode == 1
    assert "verbs [get] on serviceaccounts named workers in namespace team-a" in done.stderr


def test_without_a_cluster_nothing_is_said_of_the_image(shell: Shell) -> None:
    """Exit code 3, as of every command: that is no word about the pull."""
    shell.api.stop()
    done = shell.run("explain", str(IMAGE), "-n", "team-a", "-s", ACCOUNT)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
