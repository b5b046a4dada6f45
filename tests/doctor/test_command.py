"""`rotator doctor` as a command: its table, its JSON, its exit codes, and what it says of what it may not see."""

import json
import re
from typing import Any

from tests.doctor.test_faults import NAMES, let_a_pull_fail
from tests.doctor.ward import Ward
from tests.outside import SECRET


def told(ward: Ward, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What it says as JSON about the ward, by check."""
    done = ward.installation.run("doctor", "-n", ward.namespace, "-o", "json", *these(*NAMES), *words)
    assert (done.returncode, done.stderr) == (code, "")
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return {finding["check"]: finding for finding in findings}


def these(*names: str) -> list[str]:
    """The options that choose these checks."""
    return [word for name in names for word in ("--check", name)]


def test_all_well(ward: Ward) -> None:
    """Exit code 0, each check with its description, in the order of the table."""
    found = told(ward)
    assert tuple(found) == NAMES
    assert {finding["result"] for finding in found.values()} == {"ok"}
    assert all(finding["description"] for finding in found.values())


def test_a_problem_is_exit_code_1(ward: Ward) -> None:
    """With the object concerned and a hint."""
    ward.reference()
    (symptom,) = told(ward, code=1)["references-in-place"]["symptoms"]
    assert symptom["result"] == "problem"
    assert symptom["objects"] == [{"kind": "ServiceAccount", "namespace": ward.namespace, "name": "workers"}]
    assert "rotator status" in symptom["hint"]


def test_a_warning_is_exit_code_0(ward: Ward) -> None:
    """It is for people to weigh, and fails no script."""
    ward.delete(f"secrets/{SECRET}")
    found = told(ward, "--skip", "images-covered")
    assert found["secrets-in-order"]["result"] == "warning"


def test_checks_are_chosen_and_left_out(ward: Ward) -> None:
    """Only the named ones run, without the skipped ones; an unknown name is answered with those that there are."""
    done = ward.installation.run(
        "doctor",
        "-n",
        ward.namespace,
        "-o",
        "json",
        *these("images-pulled", "images-covered"),
        "--skip",
        "images-pulled",
    )
    assert [finding["check"] for finding in json.loads(done.stdout)["findings"]] == ["images-covered"]
    done = ward.installation.run("doctor", "--check", "nonsense")
    assert done.returncode == 2
    assert "images-covered" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = ward.installation.run("doctor", "--check", "images-covered", "--skip", "images-covered")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rotator: no check is left: --skip names all that --check does")


def test_a_namespace_that_is_not_there_is_a_mistake(ward: Ward) -> None:
    """Nothing can be said of it, so nothing is: one line, and no exit code 0."""
    done = ward.installation.run("doctor", "-n", "nowhere", *these("images-pulled"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rotator: there is no namespace nowhere; check its name, and the kubeconfig's context\n"


def test_the_table_names_the_trouble_at_80_columns_and_without_colour(ward: Ward) -> None:
    """Every check has its line; beneath those that found something stand what, where, and what to do."""
    ward.reference()
    words = ("doctor", "-n", ward.namespace, *these("references-in-place", "images-pulled"))
    code, shown = ward.installation.run_on_terminal(*words)
    assert code == 1
    plain = ward.installation.run(*words, COLUMNS="80", NO_COLOR="1").stdout
    assert "\x1b" not in plain
    assert all(len(line) <= 80 for line in plain.splitlines())
    for said in ("references-in-place", "problem: does not reference", "-> rotator attaches", "1 with problems, 1 ok"):
        assert said in shown
        assert said in plain
    assert re.search(r"^✗ references-in-place *$", plain, re.MULTILINE)
    assert "✓ images-pulled       no Pod waits" in plain
    assert f"ServiceAccount {ward.namespace}/workers" in plain


def test_no_words_of_a_registry_drive_the_terminal(ward: Ward) -> None:
    """A kubelet repeats them in a Pod's status: what would is shown as an escape."""
    let_a_pull_fail(ward, "\x1b]0;own\x07\x1b[2J")
    done = ward.installation.run("doctor", "-n", ward.namespace, *these("images-pulled"), COLUMNS="200")
    assert done.returncode == 1
    assert r"\x1b]0;own\x1b[2J" in done.stdout
    assert not set(done.stdout) & set("\x1b\x07")


def test_what_may_not_be_read_is_said_and_not_taken_for_well(ward: Ward) -> None:
    """Rotator's own ServiceAccount may read no Pods: those checks are warnings with the rule that is missing."""
    installation = ward.installation
    reader = installation.full("reader")
    rules = [{"apiGroups": [""], "resources": ["secrets", "serviceaccounts", "namespaces"], "verbs": ["get", "list"]}]
    installation.controlplane.apply(*role(reader, rules, ward.namespace))
    token = installation.controlplane.service_account_token(ward.namespace, "workers")
    path = installation.controlplane.kubeconfig(installation.directory / reader, token)
    words = ("doctor", "-n", ward.namespace, "-o", "json", *these("references-in-place", "images-pulled"))
    done = installation.run(*words, KUBECONFIG=str(path))
    assert done.returncode == 0, done.stdout
    references, pulled = json.loads(done.stdout)["findings"]
    assert references["result"] == "ok"
    (symptom,) = pulled["symptoms"]
    assert symptom["result"] == "warning"
    assert "not looked at, for Pods cannot be read" in symptom["message"]
    assert "verbs [list] on pods" in symptom["hint"]
    words = ("doctor", "-n", ward.namespace, *these("images-pulled", "references-before-pods"))
    plain = installation.run(*words, KUBECONFIG=str(path), COLUMNS="80").stdout
    assert re.findall(r"^! (\S+) +not looked at: Pods$", plain, re.MULTILINE) == [
        "images-pulled",
        "references-before-pods",
    ]
    assert plain.count("verbs [list] on pods") == 1  # why, and what to do, stands once for all checks


def role(name: str, rules: list[dict[str, Any]], namespace: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A ClusterRole, bound to the ServiceAccount `workers` of the namespace."""
    api = "rbac.authorization.k8s.io"
    return (
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "workers", "namespace": namespace}],
        },
    )
