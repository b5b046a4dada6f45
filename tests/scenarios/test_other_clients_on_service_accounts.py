"""kubectl and GitOps tools on the ServiceAccounts that rotator attaches to, on a real cluster.

`imagePullSecrets` is one atomic list to the API server: whoever writes it replaces it whole. rotator only ever appends.
Each test is a fact that the documentation may tell.
"""

import json
from collections.abc import Callable

from tests.installation import Installation
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.scenarios.others import Said, Team, configure, listed, owners, rotate, served, teams, version

LIST = ("imagePullSecrets",)
OTHER = "other-pull"
BOTH = ((OTHER, SECRET), (SECRET, OTHER))
ARGO = ("--field-manager=argocd-controller",)
FLUX = ("--field-manager=kustomize-controller", "--force-conflicts")
REPAIRED = ("ReferenceMissing", "attached")
IN_ORDER = ("Referenced", "nothing")


def sync(team: Team, manifest: str, words: tuple[str, ...] = ARGO) -> None:
    """Server-side apply, as a GitOps tool does in every sync."""
    team.kubectl("apply", "--server-side", *words, "-f", "-", text=manifest)


def refused(team: Team, manifest: str) -> str:
    """Why the sync without force failed, which it must; it has changed nothing."""
    before = team.workers
    refusal = team.refusal("apply", "--server-side", *ARGO, "-f", "-", text=manifest)
    assert team.workers == before
    return refusal


def patched(kind: str, patch: object) -> Callable[[Team], object]:
    """`kubectl patch` of this kind."""
    words = ("patch", "serviceaccount", "workers", f"--type={kind}", "-p", json.dumps(patch))
    return lambda team: team.kubectl(*words)


def replaced(*references: str) -> Callable[[Team], object]:
    """`kubectl replace`: a PUT, as Helm's --force does it."""
    return lambda team: team.kubectl("replace", "-f", "-", text=team.account(*references))


def applied(*references: str) -> Callable[[Team], object]:
    """`kubectl apply` as it was before server-side apply."""
    return lambda team: team.kubectl("apply", "-f", "-", text=team.account(*references))


REPLACE_FIRST = [{"op": "replace", "path": "/imagePullSecrets/0", "value": {"name": OTHER}}]

WAYS: dict[str, tuple[Callable[[Team], object], list[str]]] = {
    "strategic": (patched("strategic", {"imagePullSecrets": listed(OTHER, "third")}), [OTHER, "third"]),
    "merge": (patched("merge", {"imagePullSecrets": None}), []),
    "json": (patched("json", REPLACE_FIRST), [OTHER]),
    "edit": (lambda team: team.edit("serviceaccount", "workers", f"s/name: {SECRET}/name: {OTHER}/"), [OTHER]),
    "apply": (applied(OTHER), [OTHER]),
    "put": (replaced(), []),
    "put-other": (replaced(OTHER), [OTHER]),
    "flux": (lambda team: sync(team, team.account(OTHER), FLUX), [OTHER]),
}
"""Ways to lose our reference, and what the list is then."""


def workers(said: Said, found: dict[str, Team]) -> dict[str, tuple[str, str]]:
    """State and outcome of each team's ServiceAccount."""
    return {name: said.workers(team) for name, team in found.items()}


def test_however_our_reference_is_lost_it_comes_back_behind_theirs(installation: Installation) -> None:
    """By each way that kubectl has: `check` foresees it, one patch appends, and the next pass writes nothing."""
    found = dict(zip(WAYS, served(installation, *WAYS), strict=True))
    secrets = {name: team.secret for name, team in found.items()}
    for name, (lose, left) in WAYS.items():
        lose(found[name])
        assert found[name].references == left, name
    uids = {name: team.workers["metadata"]["uid"] for name, team in found.items()}
    foreseen = rotate(installation, "check")
    assert {name: team.references for name, team in found.items()} == {name: left for name, (_, left) in WAYS.items()}
    said = rotate(installation)
    assert (foreseen.code, said.code) == (0, 0)
    assert workers(foreseen, found) == dict.fromkeys(found, ("ReferenceMissing", "planned"))
    assert workers(said, found) == dict.fromkeys(found, REPAIRED)
    for name, team in found.items():
        assert team.references == [*WAYS[name][1], SECRET], name
        assert team.workers["metadata"]["uid"] == uids[name], name
    assert {name: team.secret for name, team in found.items()} == secrets
    after = {name: team.workers for name, team in found.items()}
    assert workers(rotate(installation), found) == dict.fromkeys(found, IN_ORDER)
    assert {name: team.workers for name, team in found.items()} == after


def test_no_apply_of_a_manifest_without_a_list_loses_the_reference(installation: Installation) -> None:
    """Client-side or server-side, with force or without: applied again and again, nothing is left to repair."""
    (team,) = teams(installation, "a")
    sync(team, team.account(app="shop"))
    assert rotate(installation).workers(team) == REPAIRED
    attached = version(team.workers)
    for words in (ARGO, FLUX):
        sync(team, team.account(app="shop"), words)
        assert team.references == [SECRET]
    team.kubectl("apply", "-f", "-", text=team.account(app="shop"))
    assert owners(team.workers, *LIST) == {"rotator"}
    assert version(team.workers) != attached  # Flux and kubectl left their marks, and the list alone
    said = rotate(installation)
    assert (said.code, said.workers(team), team.references) == (0, IN_ORDER, [SECRET])


def test_a_manifest_with_its_own_list_is_in_conflict_with_rotator(installation: Installation) -> None:
    """Repaired behind their entry; the next sync is refused with our name, and with force it resets the list again."""
    (team,) = teams(installation, "a")
    theirs = team.account(OTHER, app="shop")
    sync(team, theirs)
    for round_ in range(2):
        assert rotate(installation).workers(team) == REPAIRED, round_
        assert team.references == [OTHER, SECRET]
        assert owners(team.workers, *LIST) == {"rotator"}
        assert owners(team.workers, "metadata", "labels", "app") == {"argocd-controller"}
        assert 'conflict with "rotator" using v1: .imagePullSecrets' in refused(team, theirs)
        assert rotate(installation).workers(team) == IN_ORDER
        sync(team, theirs, (*ARGO, "--force-conflicts"))
        assert team.references == [OTHER]
        assert owners(team.workers, *LIST) == {"argocd-controller"}


def test_a_tool_that_always_forces_and_rotator_take_turns_and_lose_nothing(installation: Installation) -> None:
    """As Flux does: each sync resets the list, each pass appends to what stands there, new entries of theirs too."""
    (team,) = teams(installation, "a")
    for references in ([OTHER], [OTHER], ["third", OTHER]):
        sync(team, team.account(*references), FLUX)
        assert team.references == references
        assert rotate(installation).workers(team) == REPAIRED
        assert team.references == [*references, SECRET]


def test_a_manifest_that_names_our_secret_too_ends_the_contest(installation: Installation) -> None:
    """In any order: rotator has nothing to attach, so it owns nothing there, and no sync is refused or undone."""
    found = teams(installation, "a", "b")
    manifests = [team.account(*references) for team, references in zip(found, BOTH, strict=True)]

    def sync_both(words: tuple[str, ...]) -> None:
        for team, manifest in zip(found, manifests, strict=True):
            sync(team, manifest, words)

    sync_both(ARGO)
    before = [team.workers for team in found]
    for words in (ARGO, (*ARGO, "--force-conflicts")):
        said = rotate(installation)
        assert (said.code, [said.workers(team) for team in found]) == (0, [IN_ORDER] * 2)
        sync_both(words)
        assert [team.workers for team in found] == before
    assert [owners(account, *LIST) for account in before] == [{"argocd-controller"}] * 2


def test_to_name_our_secret_later_ends_the_contest_too(installation: Installation) -> None:
    """The list as it stands is no conflict: the tool owns it beside rotator, and alone with its next change."""
    (team,) = teams(installation, "a")
    sync(team, team.account(OTHER))
    rotate(installation)
    sync(team, team.account(OTHER, SECRET))
    assert owners(team.workers, *LIST) == {"argocd-controller", "rotator"}
    changed = team.account("third", OTHER, SECRET)
    assert 'conflict with "rotator"' in refused(team, changed)
    sync(team, changed, (*ARGO, "--force-conflicts"))
    assert owners(team.workers, *LIST) == {"argocd-controller"}
    before = team.workers
    assert rotate(installation).workers(team) == IN_ORDER
    sync(team, changed)
    assert team.workers == before


def test_a_list_that_leaves_the_manifest_stays_where_rotator_appended(installation: Installation) -> None:
    """The tool lost the list to rotator, so it removes nothing: their old entry is for a person to remove."""
    (team,) = teams(installation, "a")
    sync(team, team.account(OTHER, app="shop"))
    rotate(installation)
    sync(team, team.account(app="shop"))
    assert team.references == [OTHER, SECRET]
    assert owners(team.workers, *LIST) == {"rotator"}
    assert rotate(installation).workers(team) == IN_ORDER


def test_a_list_that_named_our_secret_and_leaves_the_manifest_is_repaired(installation: Installation) -> None:
    """There the tool owned the list alone, and removes it whole: our reference comes back, theirs as they wished."""
    (team,) = teams(installation, "a")
    sync(team, team.account(OTHER, SECRET, app="shop"))
    rotate(installation)
    sync(team, team.account(app="shop"))
    assert team.references == []
    assert rotate(installation).workers(team) == REPAIRED
    assert team.references == [SECRET]


def test_mode_verify_leaves_the_list_to_its_owner(installation: Installation) -> None:
    """No write, no conflict with any sync; exit code 1 until the manifest names our Secret."""
    (team,) = teams(installation, "a")
    configure(installation, ECR_ONLY.replace("names: [workers]", "names: [workers], mode: verify"))
    sync(team, team.account(OTHER))
    before = team.workers
    for command in ("check", "once"):
        said = rotate(installation, command)
        assert (said.code, said.workers(team)) == (1, ("ReferenceMissing", "nothing"))
    assert team.workers == before
    assert list(team.auths) == [ECR]
    sync(team, team.account(OTHER, SECRET))
    said = rotate(installation)
    assert (said.code, said.workers(team)) == (0, IN_ORDER)
    assert owners(team.workers, *LIST) == {"argocd-controller"}


def test_a_conflict_may_name_nobody_that_one_knows(installation: Installation) -> None:
    """An object that had no field manager when we appended: the API server says "before-first-apply" for rotator."""
    (team,) = teams(installation, "a")
    replaced()(team)
    assert "managedFields" not in team.workers["metadata"]
    rotate(installation)
    assert 'conflict with "before-first-apply" using v1: .imagePullSecrets' in refused(team, team.account(OTHER))


def test_a_service_account_that_was_deleted_and_made_again_is_served_again(installation: Installation) -> None:
    """A new UID and no list: attached to in the next pass, and the Secret stays as it is."""
    gone, remade = served(installation, "gone", "remade")
    before = [(team.workers["metadata"]["uid"], team.secret) for team in (gone, remade)]
    for team in (gone, remade):
        team.kubectl("delete", "serviceaccount", "workers")
    remade.kubectl("create", "serviceaccount", "workers")
    foreseen, said = rotate(installation, "check"), rotate(installation)
    assert (foreseen.workers(remade), said.workers(remade)) == (("ReferenceMissing", "planned"), REPAIRED)
    assert foreseen.workers(gone) == said.workers(gone) == ("ServiceAccountMissing", "nothing")
    assert (foreseen.code, said.code) == (0, 0)
    gone.kubectl("create", "serviceaccount", "workers")
    assert rotate(installation).workers(gone) == REPAIRED
    for team, (uid, secret) in zip((gone, remade), before, strict=True):
        assert team.workers["metadata"]["uid"] != uid
        assert team.references == [SECRET]
        assert team.secret == secret
