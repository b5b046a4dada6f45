"""What must not grow in a process that lives on: threads, descriptors and memory."""

from collections.abc import Sequence

from tests.vitals import Vitals

MARGINS = {"threads": 20.0, "descriptors": 20.0, "rss": 8.0}
"""Fifty registries keep some connections each, and a pool of threads fills up as chance will have it. Of a defect that
leaks at each mint, minutes show hundreds."""

FEWEST = 8
"""Looks in calm moments without which nothing is judged."""


def grown(looks: Sequence[Vitals]) -> list[str]:
    """What grew from the second quarter to the last: its least now is more than its most was then, and a margin.

    The first quarter is warm-up: each SDK is imported when its cloud is first asked, each role is taken once.
    """
    if len(looks) < FEWEST:
        return []
    quarter = len(looks) // 4
    early, late = looks[quarter : 2 * quarter], looks[-quarter:]
    found = []
    for name, margin in MARGINS.items():
        most, least = max(getattr(look, name) for look in early), min(getattr(look, name) for look in late)
        if least > most + margin:
            found.append(f"{name} grew from {most:.0f} to {least:.0f}")
    return found
