"""See it before it breaks: small named checks on everything that decides whether Pods can pull.

`gathering` reads the evidence, `checks` judge it (pure functions, in a table), `diagnosis` is what they say.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.doctor.checks import CHECKS, Check
from rotator.doctor.diagnosis import Diagnosis, Finding, Gap, Result, Symptom
from rotator.doctor.evidence import Evidence, Topic
from rotator.doctor.gathering import gathered
from rotator.rbac import Subject

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "Gap", "Result", "Symptom", "examine"]


def examine(
    cluster: Cluster,
    config: Config,
    now: datetime,
    checks: Collection[Check] = CHECKS,
    only: str | None = None,
    progress: Callable[[Topic, int], None] = lambda _topic, _count: None,
    rotator: Subject | None = None,
) -> Diagnosis:
    """Read what these checks look at, and let each judge it. Raises ClusterUnusable where nothing can be read.

    `only` is the one namespace to look into; `progress` is told what is being read; `rotator` is the ServiceAccount
    that rotator runs as (None: the one that runs this, or rotator's usual one).
    """
    topics = {topic for check in checks for topic in check.looks_at}
    evidence = gathered(cluster, config, topics, only, now, progress, rotator)
    return Diagnosis(tuple(judged(check, evidence) for check in checks))


def judged(check: Check, evidence: Evidence) -> Finding:
    """What the check finds in the evidence. What it could not see is said, and never taken for well."""
    gaps = tuple(evidence.gaps[topic] for topic in check.looks_at if topic in evidence.gaps)
    symptoms = () if gaps else tuple(check.judge(evidence))
    return Finding(check.name, check.description, symptoms, gaps)
