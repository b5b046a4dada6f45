"""What must hold after every pass, whatever happened before and within it. Invariants go by number."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from rotator.model import State
from rotator.rotation import Outcome, Result
from tests.scenarios.machine.reading import (
    LABEL,
    NOTES,
    Object,
    Standing,
    auths,
    host_of,
    is_broken,
    is_due,
    members,
    references,
)
from tests.scenarios.machine.scene import Scene
from tests.scenarios.machine.seen import Pass, Write
from tests.scenarios.machine.setting import (
    ACCOUNTS,
    ACCOUNTS_OF,
    COVERED,
    HOSTS,
    LONGEST_PAUSE,
    REGISTRIES,
    REGISTRIES_OF,
    USERS,
    Key,
    hosts_of,
)

OUR_LABELS = frozenset({LABEL, "app.kubernetes.io/managed-by"})
OUR_ANNOTATIONS = frozenset({NOTES, "rotator.dev/expires-at", "rotator.dev/renewed-at"})
SYSTEM = frozenset({"resourceVersion", "managedFields"})


def _without(mapping: Object | None, *keys: str) -> Object:
    return {key: value for key, value in (mapping or {}).items() if key not in keys}


# 1: what is written --------------------------------------------------------------------------------------------------


def invariant_1_only_living_accepted_tokens_are_written(scene: Scene, seen: Pass) -> None:
    """Each entry that was set is a token that its cloud gave to this very process (11), alive, and not refused."""
    for write in seen.written("secrets"):
        for host, standing in write.entries().items():
            user, value = standing.credential
            issued = scene.issued.get(value)
            assert issued is not None, f"{write.key}: {host} got what no cloud issued"
            assert (user, issued.registry) == (USERS[HOSTS[host]], HOSTS[host]), f"{write.key}: {host} got another's"
            assert issued.expires_at > seen.now, f"{write.key}: {host} got an expired token"
            verdicts = issued.verdicts.get((seen.process.number, host))
            assert verdicts, f"{write.key}: {host} got another process's token"
            assert verdicts != {"refusing"}, f"{write.key}: {host} got a token that its registry refused"
            unproven = "accepted" not in verdicts
            assert not (unproven and _lives_on(scene, seen, write, host)), f"{write.key}: {host} lost what was good"


def _lives_on(scene: Scene, seen: Pass, write: Write, host: str) -> bool:
    """Whether what stood there would have lived until the next try."""
    standing = scene.stands(write.before, host) if write.before else None
    return standing is not None and standing.times[1] > seen.now + LONGEST_PAUSE


def invariant_1_what_is_written_is_whole(scene: Scene, seen: Pass) -> None:
    """It parses, is not empty, and what is noted about each entry is true."""
    for write in seen.written("secrets"):
        assert write.after is not None
        assert auths(write.after), f"{write.key} is empty"
        assert not is_broken(write.after), f"{write.key} is broken"
        for host, standing in write.entries().items():
            issued, (issued_at, expires_at) = scene.issued[standing.credential[1]], standing.times
            assert expires_at == issued.expires_at, f"{write.key}: {host} does not expire when it says"
            assert issued_at in issued.given_at, f"{write.key}: {host} was not given when it says"


# 2 and 3: what stays -------------------------------------------------------------------------------------------------


def invariant_2_secrets_are_renewed_in_place(_scene: Scene, seen: Pass) -> None:
    """No UID, type or other property changes, and nothing is sent but patches."""
    assert {request.verb for request in seen.requests} <= {"get", "list", "patch"}
    for write in seen.written("secrets"):
        if write.before and write.after:
            assert _fixed(write.before) == _fixed(write.after), f"{write.key} is another object"


def _fixed(secret: Object) -> Object:
    meta = _without(secret["metadata"], *SYSTEM, "labels", "annotations")
    return {**secret, "metadata": meta, "data": _without(secret["data"], ".dockerconfigjson")}


def invariant_3_only_what_is_ours_is_written(scene: Scene, seen: Pass) -> None:
    """Foreign entries, members, labels and annotations come out as they went in, in order."""
    for write in seen.written("secrets"):
        before = write.before
        assert write.after is not None
        assert write.key[1] in REGISTRIES_OF, f"{write.key} is no Secret of ours"
        assert before is None or not scene.is_untouchable(before), f"{write.key} was not ours to write"
        assert _others(before) == _others(write.after), f"{write.key}: labels or annotations of others"
        assert _foreign(before) == _foreign(write.after), f"{write.key}: entries of others"


def _others(secret: Object | None) -> tuple[Object, Object]:
    meta = secret["metadata"] if secret else {}
    return _without(meta.get("labels"), *OUR_LABELS), _without(meta.get("annotations"), *OUR_ANNOTATIONS)


def _foreign(secret: Object | None) -> list[list[tuple[str, Any]]]:
    if secret is None:
        return [[], []]
    entries = [(key, value) for key, value in auths(secret) if host_of(secret, key) is None]
    return [entries, [(key, value) for key, value in members(secret) if key != "auths"]]


def invariant_3_references_are_appended(_scene: Scene, seen: Pass) -> None:
    """All that a ServiceAccount had stays, in order; what comes behind it is what is due to it."""
    for write in seen.written("serviceaccounts"):
        assert write.key[1] in ACCOUNTS, f"{write.key} is no ServiceAccount of ours"
        if write.before and write.after:
            assert _rest(write.before) == _rest(write.after), f"{write.key} changed"
            before, after = references(write.before), references(write.after)
            wanted = [name for name in REGISTRIES_OF if write.key[1] in ACCOUNTS_OF[name] and name not in before]
            assert after[: len(before)] == before, f"{write.key}: references of others"
            added = after[len(before) :]
            assert added == [name for name in wanted if name in added], f"{write.key} got {added}"


def _rest(account: Object) -> Object:
    return {**_without(account, "imagePullSecrets"), "metadata": _without(account["metadata"], *SYSTEM)}


def invariant_3_nothing_else_is_touched(_scene: Scene, seen: Pass) -> None:
    """Writes go to namespaces that are covered and live; what was not written is as it was, Pods (8) and all."""
    for write in seen.writes:
        assert write.key[0] in COVERED, f"{write.key} is not covered"
        assert seen.only in {None, write.key[0]}, f"{write.key} is outside of this pass"
        assert seen.before.serves(write.key[0]), f"{write.key} is in a namespace that goes"
    touched = {(write.resource, write.key) for write in seen.writes}
    for resource, before, after in (
        ("secrets", seen.before.secrets, seen.after.secrets),
        ("serviceaccounts", seen.before.accounts, seen.after.accounts),
        ("pods", seen.before.pods, seen.after.pods),
    ):
        for key in before.keys() | after.keys():
            if key[0] not in seen.disturbed and (resource, key) not in touched:
                assert before.get(key) == after.get(key), f"{resource} {key} changed"


# 4, 5 and 11: what it costs ------------------------------------------------------------------------------------------


def invariant_4_one_mint_for_all_namespaces(scene: Scene, seen: Pass) -> None:
    """At most one token of each registry, and one for each host in whatever Secrets were written."""
    for registry in REGISTRIES:
        assert seen.minted[registry] <= 1, f"{registry} was minted {seen.minted[registry]} times"
    for host, registry in HOSTS.items():
        if scene.gives(registry) and host not in scene.modes:
            entries = [write.entries().get(host) for write in seen.written("secrets")]
            values = {entry.credential for entry in entries if entry is not None}
            assert len(values) <= 1, f"{host} got {len(values)} tokens in one pass"


def invariant_5_nothing_is_done_that_is_not_due(_scene: Scene, seen: Pass) -> None:
    """No write of an entry that stands and is young, none without effect, and no mint that no Secret needs (11)."""
    for write in seen.written("secrets"):
        if write.key[0] not in seen.disturbed:
            assert seen.needed[write.key], f"{write.key} needed nothing"
            surplus = write.entries().keys() - seen.needed[write.key]
            assert not surplus, f"{write.key}: {surplus} needed nothing"
    taken = Counter(request.resource for request in seen.requests if request.verb == "patch" and request.status < 300)
    for resource in ("secrets", "serviceaccounts"):
        effective = [write for write in seen.writes if write.resource == resource and write.took_effect]
        assert taken[resource] <= len(effective), f"{resource}: {taken[resource]} writes for {len(effective)} changes"
    for registry in REGISTRIES:
        assert not seen.asked[registry] or _may_ask(seen, registry), f"{registry} was asked without need"


def _may_ask(seen: Pass, registry: str) -> bool:
    """Whether some Secret could need this registry, and nothing young is in hand."""
    times = seen.sound.get(registry)
    needed = any(HOSTS[host] == registry for hosts in seen.needed.values() for host in hosts)
    return needed and (times is None or is_due(*times, seen.now))


# 6 and 9: what must stand after a pass -------------------------------------------------------------------------------


class Expected(IntEnum):
    """What the entry of one host must be after a pass."""

    ANYTHING = 0
    ALIVE = 1
    FRESH = 2


def expected(scene: Scene, seen: Pass, host: str) -> Expected:
    """A sound cloud and registry mean a fresh entry; a silent registry, or something in hand, a living one."""
    registry, mode = HOSTS[host], scene.modes.get(host)
    asked = scene.gives(registry) and registry in seen.tried and mode != "refusing"
    gives_new_ones = scene.cloud(registry).fault is None and registry not in seen.process.cached
    if asked and mode is None and gives_new_ones:
        return Expected.FRESH
    return Expected.ALIVE if asked or _has_in_hand(scene, seen, host) else Expected.ANYTHING


def _has_in_hand(scene: Scene, seen: Pass, host: str) -> bool:
    return any(
        issued.expires_at > seen.now and issued.verdicts.get((seen.process.number, host), set()) - {"refusing"}
        for issued in scene.issued.values()
    )


def served(scene: Scene, seen: Pass) -> Iterator[Key]:
    """The Secrets that had to be right after this pass."""
    for key in seen.places():
        secret = seen.before.secrets.get(key)
        if seen.writing and not seen.broken_off and (secret is None or not scene.is_untouchable(secret)):
            yield key


def invariant_6_every_healthy_registry_is_served_everywhere(scene: Scene, seen: Pass) -> None:
    """Whatever fails elsewhere: in each Secret of ours, each host that can have a fresh credential has it."""
    for key in served(scene, seen):
        for host in hosts_of(key[1]):
            if due := expected(scene, seen, host):
                _check_entry(scene, seen, key, host, due)


def _check_entry(scene: Scene, seen: Pass, key: Key, host: str, due: Expected) -> None:
    secret = seen.after.secrets.get(key)
    assert secret is not None, f"{key} does not exist"
    standing = Standing.of(secret, host)
    assert standing is not None, f"{key}: no single entry for {host}"
    issued = scene.issued.get(standing.credential[1])
    assert issued is not None, f"{key}: {host} has what no cloud issued"
    assert issued.expires_at > seen.now, f"{key}: {host} has an expired token"
    if due is Expected.FRESH:
        assert scene.stands(secret, host), f"{key}: the entry for {host} is not as it was written"
        assert not is_due(*standing.times, seen.now), f"{key}: the entry for {host} is due"


def invariant_9_references_stand_and_come_first(scene: Scene, seen: Pass) -> None:
    """Each covered ServiceAccount references its pull secrets, from before those were written."""
    assert not seen.unreferenced, seen.unreferenced
    for namespace, name in served(scene, seen):
        for account in ACCOUNTS_OF[name]:
            found = seen.after.accounts.get((namespace, account))
            assert found is None or name in references(found), f"{namespace}/{account} does not reference {name}"


def invariant_9_no_reference_to_what_is_not_ours(scene: Scene, seen: Pass) -> None:
    """A Secret that only a person can put right is not spread to further ServiceAccounts."""
    for write in seen.written("serviceaccounts"):
        if write.key[0] in seen.disturbed or not write.before or not write.after:
            continue
        for name in set(references(write.after)) - set(references(write.before)):
            secret = seen.before.secrets.get((write.key[0], name))
            assert secret is None or not scene.is_untouchable(secret), f"{write.key} got a reference to a bad {name}"


# 7, 8 and 10: what is told, and what is not asked --------------------------------------------------------------------


def invariant_7_no_secret_value_is_told(scene: Scene, seen: Pass) -> None:
    """Neither in the log, before it is masked, nor in the report or what is kept in memory, as Python shows them."""
    minting = seen.process.rotation.minting
    told = (seen.logged, json.dumps(seen.report.record()), repr(seen.report), repr(vars(minting)))
    assert seen.broken_off or "pass.finished" in seen.logged, "nothing was logged"
    for value in scene.world.net.secrets():
        assert not any(value in text for text in told), "a secret value was told"


def invariant_8_nothing_is_asked_of_pods(_scene: Scene, seen: Pass) -> None:
    """That they are as they were is seen with everything else."""
    assert {request.resource for request in seen.requests} <= {"namespaces", "secrets", "serviceaccounts"}


def invariant_10_without_writing_nothing_is_written(_scene: Scene, seen: Pass) -> None:
    """`check` sends no write at all."""
    assert seen.writing or not seen.writes, seen.writes


def the_report_is_true(scene: Scene, seen: Pass) -> None:
    """What was written is reported as such, and what only a person can put right makes the pass a failed one."""
    told = {(str(result.change.subject), result.change.pull_secret): result for result in seen.report.results}
    written = {write.key for write in seen.written("secrets")}
    for key in seen.places():
        secret, result = seen.before.secrets.get(key), told[f"Secret {key[0]}/{key[1]}", key[1]]
        assert (result.outcome is Outcome.WRITTEN) == (key in written), f"{key}: {result.outcome}"
        if secret is not None and scene.is_untouchable(secret):
            assert result.failed, f"{key} is not reported"
            assert seen.report.exit_code == 1


INVARIANTS: tuple[Callable[[Scene, Pass], None], ...] = (
    invariant_1_only_living_accepted_tokens_are_written,
    invariant_1_what_is_written_is_whole,
    invariant_2_secrets_are_renewed_in_place,
    invariant_3_only_what_is_ours_is_written,
    invariant_3_references_are_appended,
    invariant_3_nothing_else_is_touched,
    invariant_4_one_mint_for_all_namespaces,
    invariant_5_nothing_is_done_that_is_not_due,
    invariant_6_every_healthy_registry_is_served_everywhere,
    invariant_7_no_secret_value_is_told,
    invariant_8_nothing_is_asked_of_pods,
    invariant_9_references_stand_and_come_first,
    invariant_9_no_reference_to_what_is_not_ours,
    invariant_10_without_writing_nothing_is_written,
    the_report_is_true,
)


def check(scene: Scene, seen: Pass) -> None:
    """All that must hold after any pass."""
    for invariant in INVARIANTS:
        invariant(scene, seen)


# What must hold between passes ---------------------------------------------------------------------------------------


def check_nothing_was_left(again: Pass) -> None:
    """Invariant 5: a pass right after another finds nothing to do."""
    assert not any(again.asked.values()), f"asked again: {again.asked}"
    assert not again.writes, again.writes


def check_foreseen(checked: Pass, done: Pass) -> None:
    """Invariant 10: what `check` foresaw is what came of it, change for change."""
    assert _outcomes(checked) == _outcomes(done)


def _outcomes(seen: Pass) -> dict[tuple[str, str], tuple[object, Outcome]]:
    return {
        (str(result.change.subject), result.change.pull_secret): (result.change, _planned(result))
        for result in seen.report.results
    }


def _planned(result: Result) -> Outcome:
    return Outcome.PLANNED if result.outcome in {Outcome.WRITTEN, Outcome.ATTACHED} else result.outcome


def check_pull(scene: Scene, seen: Pass, namespace: str, host: str) -> None:
    """The promise: a Pod that is created now, in a covered namespace, pulls from a registry that is well."""
    if host in scene.modes or not expected(scene, seen, host):
        return
    names = [name for place, name in served(scene, seen) if place == namespace and host in hosts_of(name)]
    for account in sorted({account for name in names for account in ACCOUNTS_OF[name]}):
        found = seen.after.accounts.get((namespace, account))
        if found and not _is_spoilt(seen, found):
            pull = scene.pull(namespace, account, host)
            assert pull.ok, f"{namespace}/{account}: {pull.message}"


def _is_spoilt(seen: Pass, account: Object) -> bool:
    """Whether one of its Secrets fails all its Pods: an entry of others, or one whose registry gives nothing new."""
    secrets = [seen.after.secrets.get((account["metadata"]["namespace"], name)) for name in references(account)]
    return any(secret and secret["type"] != "Opaque" and is_broken(secret, ours_too=True) for secret in secrets)


def check_all_is_well(scene: Scene, seen: Pass) -> None:
    """Everything recovered: each Secret of ours is up to date, and no registry has anything to say."""
    told = {(str(result.change.subject), result.change.pull_secret): result for result in seen.report.results}
    for namespace, name in served(scene, seen):
        state = told[f"Secret {namespace}/{name}", name].change.state
        assert state is State.UP_TO_DATE, f"{namespace}/{name}: {state}"
    for status in seen.report.registries:
        assert status.error is None, f"{status.name}: {status.error}"
