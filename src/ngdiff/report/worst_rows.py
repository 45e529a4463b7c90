"""The rows that a mean hides: the forget rows that the model still recites, and how many."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ngdiff.metrics import metrics_of
from ngdiff.metrics.worst import ABOVE, COUNT
from ngdiff.plurals import some_of, verb
from ngdiff.scoring.quantities import numbers_of, shown


class WorstRows(NamedTuple):
    """Of one set and metric: how many of `n` rows, or documents, exceed `limit`, and the worst as (number, origin,
    value)."""

    set_name: str
    title: str
    above: int
    n: int
    limit: float
    rows: list[tuple[str, str, str]]
    unit: str = "row"

    @property
    def counted(self) -> str:
        """How many exceed the limit, in words.

        >>> WorstRows("forget", "Verbmem", 1, 1, 0.5, []).counted
        '1 of 1 row is above 0.5'
        """
        return f"{some_of(self.above, self.n, self.unit)} {verb(1 if self.n == 1 else self.above)} above {self.limit:g}"


def worst_rows(metrics: Mapping[str, Any]) -> list[WorstRows]:
    """A table for each metric of `worst_rows` in `metrics.json`.

    >>> own = {"n": 9, "rouge_l_recall_above_half": 1, "n_rouge_l_recall": 9}
    >>> rows = {"forget": {"rouge_l_recall": [{"index": 3, "value": 0.75}]}}
    >>> worst_rows({"forget": own, "worst_rows": rows})[0].rows
    [('3', '', '0.7500')]
    """
    found = []
    for set_name, tables in (metrics.get("worst_rows") or {}).items():
        own = numbers_of(metrics, set_name)
        for key, rows in tables.items():
            if key not in metrics_of(set_name):
                continue
            found.append(
                WorstRows(
                    set_name,
                    metrics_of(set_name)[key].title,
                    own.get(key + COUNT, 0),
                    own.get("n_documents", own.get(f"n_{key}", own.get("n", 0))),
                    ABOVE,
                    [(str(row["index"]), _origin(row), shown(float(row["value"]))) for row in rows],
                    "document" if "n_documents" in own else "row",
                )
            )
    return found


def _origin(row: Mapping[str, Any]) -> str:
    if "document" in row:
        above = f" ({row['chunks']} of its chunks above {ABOVE})" if row.get("chunks") else ""
        return f"{row['document']}{above}"
    return str(row.get("origin", ""))
