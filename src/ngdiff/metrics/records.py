"""What metrics read: records, whose fields `ngdiff.evaluation.records.Record` lists, here of any origin."""

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
Records = Sequence[Record]
Sets = Mapping[str, Records]


def record_name(record: Record) -> str:
    """The name of a record in error messages: the origin of its row, or else its set and index."""
    return str(record.get("origin") or f"record {record.get('index', '?')} of set {record.get('set', '?')!r}")
