"""What Pods use now, of all Secrets together."""

from datetime import timedelta

from rotator.plan import plan
from rotator.rotation.published import Published, published
from tests import build
from tests.build import ECR, GAR, NOW

HOUR = timedelta(hours=1)


def test_the_first_and_the_last_of_what_stands_in_several_secrets() -> None:
    """One namespace is behind: the first issue and expiry are its own, the last renewal is the other's."""
    ages = {"team-a": 7 * HOUR, "shuffle": HOUR}
    records = [
        build.secret({ECR: ("prod", build.credential(issued=NOW - age))}, namespace=namespace)
        for namespace, age in ages.items()
    ]
    snapshot = build.snapshot(*records, namespaces=tuple(ages))
    found = published(build.config(), snapshot, plan(snapshot, build.config(), {}, NOW).changes, NOW)
    assert found[ECR] == Published(
        first_expiry=NOW + 5 * HOUR,
        everywhere=True,
        first_issue=NOW - 7 * HOUR,
        first_due=NOW - HOUR,
        last_issue=NOW - HOUR,
    )
    assert found[GAR] == Published(None, everywhere=False, first_issue=None, first_due=None, last_issue=None)
