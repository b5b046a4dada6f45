"""The witnesses of a pass: what the leader saw is told, what a former leader saw is not."""

import pytest

from rotator.daemon.witnesses import Witnesses
from rotator.eventing import Eventing
from rotator.events import Event
from rotator.metrics import Metrics
from rotator.model import Action, Change, Kind, State, Subject
from rotator.rotation import Outcome, Report
from rotator.rotation.report import Result
from tests.build import snapshot

FOREIGN = Change(Subject(Kind.SECRET, "team-a", "worker-pull"), "worker-pull", State.FOREIGN, "a test", Action.NOTHING)


@pytest.mark.parametrize("leads", [True, False])
def test_only_the_leader_tells_what_a_pass_left(leads: bool) -> None:
    """Numbers and Events alike: a pass whose lead was lost on the way saw what the next leader sees better."""
    events = list[Event]()
    metrics = Metrics()
    report = Report((Result(FOREIGN, Outcome.NOTHING, None),), (), snapshot())
    Witnesses(metrics, Eventing(events.append), lambda: leads).passed(report, 0.1)
    told = metrics.registry.get_sample_value("rotator_last_successful_sweep_timestamp_seconds")
    assert (bool(told), len(events)) == (leads, int(leads))
