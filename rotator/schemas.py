"""The JSON Schemas of all that is printed with `--output json`, made from the types of the records.

Another command adds its record's TypedDict to RECORDS, and a section to docs/json.md: a test compares both, and the
schema with what the program prints.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from rotator.doctor.diagnosis import DiagnosisRecord
from rotator.explain import ExplanationRecord
from rotator.rotation.report import ReportRecord
from rotator.status import StatusRecord

RECORDS: Mapping[str, type] = MappingProxyType(
    {
        "check": ReportRecord,
        "once": ReportRecord,
        "doctor": DiagnosisRecord,
        "explain": ExplanationRecord,
        "status": StatusRecord,
    }
)
"""By command, the record that it prints."""


def schema(command: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of this command's record. Keys may be added to a record, so others are no error."""
    (found,), parts = msgspec.json.schema_components([RECORDS[command]], ref_template="#/$defs/{name}")
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"rotator {command} --output json"}
    return about | found | {"$defs": parts}
