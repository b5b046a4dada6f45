"""What was asked about rotator itself: whose Lease, who we are to the clouds, what they give, what time it is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.config import Config
from rotator.errors import RotatorError
from rotator.leadership import Record
from rotator.rbac import Right, Subject


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What is keyed by a name is keyed by a registry's, and an error stands where no answer came.

    `rotator` is the ServiceAccount that rotator runs as, and `here` says that doctor runs as one, too, so in a Pod.
    `mints` tells until when each new credential is good. `clocks` tells for each server how far its clock is ahead of
    ours, at least, and None where it tells no time. `unasked` counts the rights that were too many to ask for.
    """

    rotator: Subject = field(default_factory=Subject)
    here: bool = False
    rights: Mapping[Right, bool] = field(default_factory=dict)
    unasked: int = 0
    identities: Mapping[str, str | RotatorError] = field(default_factory=dict)
    mints: Mapping[str, datetime | RotatorError] = field(default_factory=dict)
    clocks: Mapping[str, timedelta | RotatorError | None] = field(default_factory=dict)
    lease: Record | None = None

    def lease_namespace(self, config: Config) -> str:
        """Where the Lease is, if there is one."""
        return config.leader_election.namespace or self.rotator.namespace

    @property
    def where(self) -> str:
        """How to ask the same where rotator runs; empty where that is done already."""
        asked = f"kubectl exec -n {self.rotator.namespace} deploy/{self.rotator.name} -- rotator doctor"
        return "" if self.here else f"or ask where rotator runs: {asked}"
