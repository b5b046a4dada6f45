"""Is rotator itself well: who it is to the clouds, whether they serve it, what time it is, and who leads?"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotator.annotations import stamp
from rotator.doctor.diagnosis import Object, Result, Symptom, fact
from rotator.doctor.evidence import Evidence
from rotator.doctor.ourselves import Ourselves
from rotator.errors import RotatorError
from rotator.leadership import Record

SKEWED = timedelta(seconds=30)
"""Clocks that NTP keeps differ by milliseconds, and a credential lives for an hour at least."""

TOO_SKEWED = timedelta(minutes=5)
"""AWS denies most requests that were signed earlier than that (IAM User Guide, "AWS Signature Version 4 for API
requests")."""


def identities(evidence: Evidence) -> Iterator[Symptom]:
    """Who we are to each cloud, or why nobody knows."""
    for registry, answer in evidence.ourselves.identities.items():
        if isinstance(answer, RotatorError):
            yield _failed(answer, evidence.ourselves)
        else:
            yield fact(f"registry {registry}: {answer}")


def mints(evidence: Evidence) -> Iterator[Symptom]:
    """Until when a new credential is good, or why there is none that the registry accepts."""
    for registry, answer in evidence.ourselves.mints.items():
        if isinstance(answer, RotatorError):
            yield _failed(answer, evidence.ourselves)
        else:
            yield fact(f"registry {registry}: a new credential is good until {stamp(answer)}")


def clocks(evidence: Evidence) -> Iterator[Symptom]:
    """The servers whose clock differs from ours; which of the two is wrong shows where several differ alike."""
    for server, ahead in evidence.ourselves.clocks.items():
        if ahead is None:
            yield fact(f"{server} does not tell its time")
        elif isinstance(ahead, RotatorError):
            yield Symptom(Result.WARNING, f"not looked at: {ahead.message}", hint=ahead.hint)
        elif abs(ahead) > SKEWED:
            yield _skewed(server, ahead)


def lease_held(evidence: Evidence) -> Iterator[Symptom]:
    """Who leads; or that nobody does, though a rotator that runs always would."""
    election = evidence.config.leader_election
    if not election.enabled:
        yield fact("leader election is off: whoever runs, writes")
        return
    namespace, lease = evidence.ourselves.lease_namespace(evidence.config), evidence.ourselves.lease
    place = (Object("Lease", namespace, election.name),)
    if lease is None:
        hint = "start its Deployment; where it runs as a CronJob, set leaderElection.enabled: false to say so"
        yield Symptom(Result.WARNING, "there is none: rotator does not run, or runs as a CronJob", place, hint)
    elif problem := _vacant(lease, evidence.now):
        yield Symptom(Result.PROBLEM, problem, place, f"see whether it runs: kubectl get pods -n {namespace}")
    else:
        yield fact(f"{lease.holder} holds it, and renewed it at {lease.renewed[:19]}Z")


def _failed(error: RotatorError, ours: Ourselves) -> Symptom:
    """With its own hint; a person's machine may well have no identity of its own."""
    return Symptom(Result.PROBLEM, error.message, hint="; ".join(filter(None, (error.hint, ours.where))))


def _skewed(server: str, ahead: timedelta) -> Symptom:
    result = Result.PROBLEM if abs(ahead) > TOO_SKEWED else Result.WARNING
    side = "ahead of" if ahead > timedelta() else "behind"
    message = f"the clock of {server} is {abs(ahead).total_seconds():.0f} s {side} ours"
    return Symptom(result, message, hint="let NTP set the clock that is wrong: tokens end, and begin, by the clock")


def _vacant(lease: Record, now: datetime) -> str:
    """Why nobody leads; empty where somebody does. The time in it is by its holder's clock, which may differ a bit."""
    if not lease.holder:
        return "nobody holds it: its last holder gave it back, and no other took it"
    try:
        since = now - datetime.fromisoformat(lease.renewed)
    except (TypeError, ValueError):  # no time, or one without a zone
        return f"{lease.holder} holds it, and does not say when it was renewed"
    if since <= timedelta(seconds=lease.seconds) + SKEWED:
        return ""
    return f"{lease.holder} held it last, and renewed it at {lease.renewed[:19]}Z, {since.total_seconds():.0f} s ago"
