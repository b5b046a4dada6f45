"""What the records that are printed as JSON are made of: each module says its own, and `schemas.py` lists them.

A TypedDict is checked against what is printed by mypy, and described for the schema by `Meta`.
"""

from typing import Annotated

from msgspec import Meta

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC and whole seconds, as `annotations.stamp` writes it."""


def told(description: str) -> Meta:
    """What a key means, for the schema and docs/json.md."""
    return Meta(description=description)
