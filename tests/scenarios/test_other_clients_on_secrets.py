"""kubectl on rotator's Secrets, on a real cluster: what rotator takes back, what it keeps, and what it leaves alone.

Each test is a fact that the documentation may tell; those about field managers hold for any client, kubectl or not.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import ACR, CONFIG, ECR, GAR, SECRET
from tests.scenarios.others import (
    THEIRS,
    Said,
    Team,
    configure,
    owners,
    packed,
    renew,
    rotate,
    served,
    teams,
    version,
)
from tests.waiting import eventually

DATA = ("data", ".dockerconfigjson")
SPOILT = {"ghcr.io": THEIRS, ECR: {"auth": "QVdTOndyb25n"}}
"""Somebody's own entry, and a wrong password in ours."""


@pytest.fixture
def hasty(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Installation]:
    """An installation where each credential is due one second after it was issued."""
    with installed_on(controlplane, tmp_path, life=timedelta(seconds=20)) as made:
        made.grant_everything()
        yield made


def served_hastily(hasty: Installation, *names: str) -> list[Team]:
    """Teams that rotator has served, and every later pass renews their credentials."""
    made = served(hasty, *names)
    configure(hasty, renewal="{at: 0.05}")
    return made


# Who writes over our entry ------------------------------------------------------------------------------------------


class Way(NamedTuple):
    """A way to write over the data of a Secret, and the field manager that owns it then (None: it does not say)."""

    write: Callable[[Team], object]
    manager: str | None


def patched(kind: str, patch: object) -> Way:
    """`kubectl patch` of this kind."""
    return Way(
        lambda team: team.kubectl("patch", "secret", SECRET, f"--type={kind}", "-p", json.dumps(patch)), "kubectl-patch"
    )


def put_back(team: Team) -> None:
    """Read, change and `kubectl replace`."""
    found = team.exported()
    found["data"][".dockerconfigjson"] = packed(SPOILT)
    team.kubectl("replace", "-f", "-", text=json.dumps(found))


CHANGE = {"data": {".dockerconfigjson": packed(SPOILT)}}
STRING_DATA = {".dockerconfigjson": json.dumps({"auths": SPOILT})}

WAYS = {
    "edit": Way(
        lambda team: team.edit("secret", SECRET, f"s|dockerconfigjson: .*|dockerconfigjson: {packed(SPOILT)}|"),
        "kubectl-edit",
    ),
    "merge": patched("merge", CHANGE),
    "strategic": patched("strategic", CHANGE),
    "json": patched("json", [{"op": "replace", "path": "/data/.dockerconfigjson", "value": packed(SPOILT)}]),
    "replace": Way(put_back, "kubectl-replace"),
    "apply": Way(
        lambda team: team.kubectl("apply", "-f", "-", text=team.manifest(SPOILT)), "kubectl-client-side-apply"
    ),
    "force": Way(
        lambda team: team.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=team.manifest(SPOILT)),
        "kubectl",
    ),
    "string-data": Way(
        lambda team: team.kubectl("apply", "--server-side", "-f", "-", text=team.manifest(stringData=STRING_DATA)),
        None,
    ),
}


def test_whoever_writes_over_our_entry_is_named_and_the_entry_written_anew(installation: Installation) -> None:
    """By each way that kubectl has: `check` foresees it, `once` takes the data back, and their own entry stays."""
    found = dict(zip(WAYS, served(installation, *WAYS), strict=True))
    before = {name: team.uid for name, team in found.items()}
    for name, way in WAYS.items():
        way.write(found[name])
        assert found[name].auths == SPOILT
    spoilt = {name: version(team.secret) for name, team in found.items()}
    foreseen = rotate(installation, "check")
    assert {name: version(team.secret) for name, team in found.items()} == spoilt
    said = rotate(installation)
    assert (foreseen.code, said.code) == (0, 0)
    for name, team in found.items():
        assert foreseen.secret(team) == ("Drifted", "planned"), name
        assert said.secret(team) == ("Drifted", "written"), name
        assert said.rivals(team) == ([manager] if (manager := WAYS[name].manager) else []), name
        assert list(team.auths) == ["ghcr.io", ECR], name
        assert team.auths["ghcr.io"] == THEIRS, name
        assert team.password in installation.net.secrets(), name
        assert owners(team.secret, *DATA) == {"rotator"}, name
        assert team.uid == before[name], name
        assert team.references == [SECRET], name
    mended = {name: version(team.secret) for name, team in found.items()}
    assert rotate(installation).code == 0
    assert {name: version(team.secret) for name, team in found.items()} == mended


def test_server_side_apply_is_told_that_the_data_is_ours(installation: Installation) -> None:
    """Without force it is refused with our name, and nothing is changed; `check` has nothing to foresee."""
    (team,) = served(installation, "a")
    before = team.secret
    refusal = team.refusal("apply", "--server-side", "-f", "-", text=team.manifest(SPOILT))
    assert 'conflict with "rotator": .data..dockerconfigjson' in refusal
    assert team.secret == before
    assert rotate(installation, "check").secret(team) == ("UpToDate", "nothing")


def test_who_applied_the_same_bytes_owns_them_too_until_they_are_renewed(hasty: Installation) -> None:
    """An exported Secret in Git: no conflict at first, one at the first renewal, and from then on it is refused."""
    (team,) = served_hastily(hasty, "a")
    theirs = team.manifest(data=team.secret["data"])
    team.kubectl("apply", "--server-side", "-f", "-", text=theirs)
    assert owners(team.secret, *DATA) == {"rotator", "kubectl"}
    said = renew(team)
    assert (said.code, said.rivals(team)) == (0, ["kubectl"])
    assert owners(team.secret, *DATA) == {"rotator"}
    assert 'conflict with "rotator"' in team.refusal("apply", "--server-side", "-f", "-", text=theirs)
    assert renew(team).rivals(team) == []


# What is theirs -----------------------------------------------------------------------------------------------------


def test_what_others_add_to_our_secret_survives_every_rotation(hasty: Installation) -> None:
    """Labels, annotations, a data key, a finalizer, an owner: the same after two renewals, and still owned by them."""
    (team,) = served_hastily(hasty, "a")
    team.kubectl("create", "configmap", "owner")
    owner = team.exported("configmap", "owner")["metadata"]["uid"]
    team.kubectl("label", "secret", SECRET, "app=shop", "app.kubernetes.io/managed-by=Helm", "--overwrite")
    team.kubectl("annotate", "secret", SECRET, "meta.helm.sh/release-name=shop")
    added = {
        "metadata": {
            "finalizers": ["example.com/keep"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}],
        },
        "stringData": {"notes": "ours"},
    }
    team.kubectl("patch", "secret", SECRET, "-p", json.dumps(added))
    before = team.secret
    passwords = {team.password}
    for _ in range(2):
        said = renew(team)
        passwords.add(team.password)
        assert (said.code, said.rivals(team)) == (0, [])
    after = team.secret
    assert len(passwords) == 3
    for key in ("uid", "labels", "finalizers", "ownerReferences"):
        assert after["metadata"][key] == before["metadata"][key]
    assert after["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert after["metadata"]["annotations"]["meta.helm.sh/release-name"] == "shop"
    assert after["data"]["notes"] == before["data"]["notes"]
    assert owners(after, "metadata", "labels", "app") == {"kubectl-label"}
    assert owners(after, "metadata", "labels", "app.kubernetes.io/managed-by") == {"kubectl-label"}
    assert owners(after, "metadata", "annotations", "meta.helm.sh/release-name") == {"kubectl-annotate"}
    assert owners(after, "data", "notes") == {"kubectl-patch"}
    assert owners(after, *DATA) == {"rotator"}


def test_two_tools_take_turns_and_neither_undoes_the_other(hasty: Installation) -> None:
    """Read, add, `kubectl replace`: a renewal keeps the entries in order, and the old copy is refused after it."""
    (team,) = served_hastily(hasty, "a")
    mine = team.exported()
    mine["data"][".dockerconfigjson"] = packed({"ghcr.io": THEIRS, **team.auths, "quay.io": THEIRS})
    team.kubectl("replace", "-f", "-", text=json.dumps(mine))
    assert renew(team).rivals(team) == ["kubectl-replace"]
    assert list(team.auths) == ["ghcr.io", ECR, "quay.io"]
    assert renew(team).rivals(team) == []
    assert list(team.auths) == ["ghcr.io", ECR, "quay.io"]
    assert (team.auths["ghcr.io"], team.auths["quay.io"]) == (THEIRS, THEIRS)
    before = team.secret
    assert "the object has been modified" in team.refusal("replace", "-f", "-", text=json.dumps(mine))
    assert team.secret == before


def test_an_entry_of_ours_that_is_removed_comes_back(installation: Installation) -> None:
    """Only that one is minted and written: the bytes of the others stay."""
    (team,) = teams(installation, "a")
    configure(installation, CONFIG)
    assert rotate(installation).code == 0
    kept = {host: team.auths[host] for host in (GAR, ACR)}
    mints = installation.mints()
    change = {"data": {".dockerconfigjson": packed(kept)}}
    team.kubectl("patch", "secret", SECRET, "-p", json.dumps(change))
    assert rotate(installation, "check").secret(team) == ("Incomplete", "planned")
    mints["prod"] += 1
    said = rotate(installation)
    assert (said.secret(team), said.rivals(team)) == (("Incomplete", "written"), ["kubectl-patch"])
    assert set(team.auths) == {ECR, GAR, ACR}
    assert {host: team.auths[host] for host in kept} == kept
    mints["prod"] += 1
    assert installation.mints() == mints


# Whose Secret is it? ------------------------------------------------------------------------------------------------

FOREIGN_AUTHS = {"ghcr.io": THEIRS, ECR: {"auth": "QVdTOnN0YWxl"}, "quay.io": {**THEIRS, "email": "a@b.example"}}
"""Theirs, with a stale entry of ours between."""

CREATED: dict[str, tuple[str, ...]] = {
    "registry": ("docker-registry", "--docker-server=ghcr.io", "--docker-username=a", "--docker-password=b"),
    "opaque": ("generic", "--from-literal=.dockerconfigjson={}"),
}
"""What `kubectl create secret` is told besides the name."""

APPLIED: dict[str, dict[str, Any]] = {
    "strings": {"stringData": {".dockerconfigjson": json.dumps({"auths": FOREIGN_AUTHS}), "notes": "ours"}},
    "immutable": {"data": {".dockerconfigjson": packed(FOREIGN_AUTHS)}, "immutable": True},
    "garbage": {"stringData": {".dockerconfigjson": '{"auths":"garbage"}'}},
}
"""What a manifest says besides the name and the type."""

ADOPTED = {
    "registry": ("Incomplete", "written"),
    "opaque": ("WrongType", "nothing"),
    "strings": ("Drifted", "written"),
    "immutable": ("Immutable", "nothing"),
    "garbage": ("Malformed", "nothing"),
}


def strangers(installation: Installation) -> dict[str, Team]:
    """Teams that made a Secret of our name, each in its own way, before rotator came."""
    names = (*CREATED, *APPLIED)
    found = dict(zip(names, teams(installation, *names), strict=True))
    for name, (kind, *words) in CREATED.items():
        found[name].kubectl("create", "secret", kind, SECRET, *words)
    for name, fields in APPLIED.items():
        found[name].kubectl("create", "-f", "-", text=found[name].manifest(**fields))
    return found


def states(said: Said, found: dict[str, Team]) -> dict[str, tuple[str, str]]:
    """State and outcome of each team's Secret."""
    return {name: said.secret(team) for name, team in found.items()}


def test_a_secret_that_somebody_else_made_is_left_alone(installation: Installation) -> None:
    """Whatever it is: not a byte changed, no reference to it, one line with the remedy, exit code 1."""
    found = strangers(installation)
    before = {name: team.secret for name, team in found.items()}
    for command in ("check", "once"):
        said = rotate(installation, command)
        assert said.code == 1
        assert states(said, found) == dict.fromkeys(found, ("Foreign", "nothing"))
        assert {name: team.secret for name, team in found.items()} == before
    for team in found.values():
        assert said.workers(team) == ("ReferenceMissing", "nothing")
        assert team.references == []
        (message,) = [text for text in said.messages(team, "object.judged") if text.startswith("somebody else made")]
        assert "adopt: true" in message


def test_with_adopt_what_can_be_served_is_and_the_rest_named(installation: Installation) -> None:
    """Same UID, their entries in order, our stale one replaced in its place; the others are left alone."""
    found = strangers(installation)
    before = {name: team.secret for name, team in found.items()}
    configure(installation, adopt=True)
    foreseen, said = rotate(installation, "check"), rotate(installation)
    assert (foreseen.code, said.code) == (1, 1)
    planned = {name: (state, outcome.replace("written", "planned")) for name, (state, outcome) in ADOPTED.items()}
    assert (states(foreseen, found), states(said, found)) == (planned, ADOPTED)
    for name in ("opaque", "immutable", "garbage"):
        assert found[name].secret == before[name]
        assert found[name].references == []
    for name in ("registry", "strings"):
        assert found[name].uid == before[name]["metadata"]["uid"]
        assert found[name].references == [SECRET]
        assert found[name].password in installation.net.secrets()
    assert list(found["registry"].auths) == ["ghcr.io", ECR]
    assert found["registry"].auths["ghcr.io"] == {"username": "a", "password": "b", "auth": "YTpi"}
    assert list(found["strings"].auths) == list(FOREIGN_AUTHS)
    assert found["strings"].auths == FOREIGN_AUTHS | {ECR: found["strings"].auths[ECR]}
    assert found["strings"].secret["data"]["notes"] == before["strings"]["data"]["notes"]


def test_after_adoption_rotator_owns_its_fields_and_its_maker_the_rest(installation: Installation) -> None:
    """Its maker is named once, for it owned the data; the next pass finds nothing to do."""
    (team,) = teams(installation, "a")
    team.kubectl("create", "secret", *CREATED["registry"][:1], SECRET, *CREATED["registry"][1:])
    team.kubectl("label", "secret", SECRET, "app.kubernetes.io/managed-by=Helm")
    configure(installation, adopt=True)
    assert rotate(installation).rivals(team) == ["kubectl-create"]
    found = team.secret
    assert owners(found, *DATA) == {"rotator"}
    assert owners(found, "type") == {"kubectl-create", "rotator"}
    assert owners(found, "metadata", "labels", "rotator.dev/pull-secret") == {"rotator"}
    assert owners(found, "metadata", "labels", "app.kubernetes.io/managed-by") == {"kubectl-label"}
    assert owners(found, "metadata", "annotations", "rotator.dev/entries") == {"rotator"}
    again = rotate(installation)
    assert (again.code, again.secret(team), team.secret) == (0, ("UpToDate", "nothing"), found)


def test_the_api_server_takes_only_a_json_object(installation: Installation) -> None:
    """So a pull secret that is no JSON object cannot be met; one whose `auths` is garbage can (see above)."""
    (team,) = teams(installation, "a")
    for text in ("garbage", "[]", '"auths"'):
        refusal = team.refusal("create", "-f", "-", text=team.manifest(stringData={".dockerconfigjson": text}))
        assert "data[.dockerconfigjson]: Invalid value" in refusal


def test_replace_makes_our_secret_somebody_elses(installation: Installation) -> None:
    """A manifest without our marks, by PUT (same UID) or with --force (a new one): foreign until it may be adopted."""
    put, forced = found = served(installation, "put", "forced")
    before = [team.uid for team in found]
    put.kubectl("replace", "-f", "-", text=put.manifest(SPOILT))
    forced.kubectl("replace", "--force", "-f", "-", text=forced.manifest(SPOILT))
    assert [team.uid == uid for team, uid in zip(found, before, strict=True)] == [True, False]
    theirs = [team.secret for team in found]
    foreseen, said = rotate(installation, "check"), rotate(installation)
    assert (foreseen.code, said.code) == (1, 1)
    for team in found:
        assert foreseen.secret(team) == said.secret(team) == ("Foreign", "nothing")
        assert team.references == [SECRET]
    assert [team.secret for team in found] == theirs
    configure(installation, adopt=True)
    assert rotate(installation).code == 0
    for team, secret in zip(found, theirs, strict=True):
        assert team.uid == secret["metadata"]["uid"]
        assert list(team.auths) == list(SPOILT)
        assert team.auths["ghcr.io"] == THEIRS
        assert team.password in installation.net.secrets()


def test_one_of_our_marks_is_enough_to_know_our_secret(installation: Installation) -> None:
    """Without the note it is written anew; without the label it is as it was; without both it is somebody else's."""
    note, label, both = served(installation, "note", "label", "both")
    for team in (note, both):
        team.kubectl("annotate", "secret", SECRET, "rotator.dev/entries-")
    for team in (label, both):
        team.kubectl("label", "secret", SECRET, "rotator.dev/pull-secret-")
    said = rotate(installation)
    assert said.secret(note) == ("Drifted", "written")
    assert said.secret(label) == ("UpToDate", "nothing")
    assert said.secret(both) == ("Foreign", "nothing")
    assert said.code == 1


# Deleted ------------------------------------------------------------------------------------------------------------


def is_gone(team: Team) -> bool:
    """Whether the pull secret is no longer there."""
    return team.installation.find("secrets", team.namespace, SECRET) is None


def test_a_deleted_secret_comes_back_and_its_references_never_left(installation: Installation) -> None:
    """By hand, with its owner, or after the finalizer that held it: made anew, the ServiceAccounts untouched."""
    plain, owned, held = found = served(installation, "plain", "owned", "held")
    accounts = [team.workers for team in found]
    uids = [team.uid for team in found]
    owned.kubectl("create", "configmap", "owner")
    owner = owned.exported("configmap", "owner")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}
    owned.kubectl("patch", "secret", SECRET, "-p", json.dumps({"metadata": {"ownerReferences": [reference]}}))
    held.kubectl("patch", "secret", SECRET, "-p", '{"metadata":{"finalizers":["example.com/keep"]}}')
    plain.kubectl("delete", "secret", SECRET)
    owned.kubectl("delete", "configmap", "owner")
    held.kubectl("delete", "secret", SECRET, "--wait=false")
    eventually(lambda: is_gone(owned), "the garbage collector has followed the owner")
    assert rotate(installation).secret(held) == ("UpToDate", "nothing")
    held.kubectl("patch", "secret", SECRET, "-p", '{"metadata":{"finalizers":null}}')
    eventually(lambda: is_gone(held), "it goes when the finalizer has")
    assert rotate(installation, "check").secret(held) == ("Missing", "planned")
    said = rotate(installation)
    assert (said.code, said.secret(held)) == (0, ("Missing", "written"))
    assert not {team.uid for team in found} & set(uids)
    assert [list(team.auths) for team in found] == [[ECR]] * 3
    assert [team.workers for team in found] == accounts


def test_the_daemon_mends_within_its_sweep_what_kubectl_did(installation: Installation) -> None:
    """Deleted, spoilt, dropped from a ServiceAccount: all put right from one mint, while it runs."""
    deleted, spoilt, dropped = found = teams(installation, "deleted", "spoilt", "dropped")
    configure(installation, renewal="{sweep: 2s}")
    with installation.start("run") as running:
        eventually(lambda: all(not is_gone(team) and team.references for team in found), "every team is served")
        password, uids = spoilt.password, [team.uid for team in found]
        dropped.kubectl("patch", "serviceaccount", "workers", "-p", '{"imagePullSecrets":[{"name":"other-pull"}]}')
        deleted.kubectl("delete", "secret", SECRET)
        WAYS["merge"].write(spoilt)
        eventually(lambda: not is_gone(deleted), "the deleted Secret is back")
        eventually(lambda: dropped.references == ["other-pull", SECRET], "the reference is back, after theirs")
        eventually(lambda: spoilt.password == password, "our entry is as it was")
        assert running.end() == 0
    assert deleted.uid not in uids
    assert (spoilt.uid, dropped.uid) == tuple(uids[1:])
    assert list(spoilt.auths) == ["ghcr.io", ECR]
    assert installation.mints()["prod"] == 1


# What kubectl notes on our Secret -----------------------------------------------------------------------------------


def test_what_kubectl_noted_as_last_applied_is_never_printed(installation: Installation) -> None:
    """Our token stands in that annotation in base64: at every level, in every form, nothing of it is shown."""
    made = served(installation, "drifted", "foreign", "locked")
    drifted, foreign, locked = made
    shown, tokens = [], set[str]()
    for team in made:
        team.kubectl("apply", "-f", "-", text=team.manifest(data=team.secret["data"]))
        noted = team.kubectl("apply", "view-last-applied", "secret", SECRET, "-o", "json")
        tokens |= {json.loads(noted)["data"][".dockerconfigjson"], team.auths[ECR]["auth"]}
    WAYS["merge"].write(drifted)
    foreign.kubectl("label", "secret", SECRET, "rotator.dev/pull-secret-")
    foreign.kubectl("annotate", "secret", SECRET, "rotator.dev/entries-")
    locked.kubectl("patch", "secret", SECRET, "-p", '{"immutable":true}')
    for command in ("check", "once"):
        done = installation.run(command, "--log-level", "debug", "--output", "json")
        assert {"Drifted", "Foreign", "Immutable"} <= {c["state"] for c in json.loads(done.stdout)["changes"]}
        shown += [done.stdout, done.stderr]
    shown.append(installation.run_on_terminal("check")[1])
    assert tokens
    for secret in tokens | installation.net.secrets():
        beginning = secret[:24]  # a table may break what is longer
        assert not [text for text in shown if beginning in text]
    notes = [
        team.secret["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] for team in made
    ]
    assert all(any(token in note for token in tokens) for note in notes)
