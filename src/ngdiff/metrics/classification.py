"""Accuracy of a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any


def has_label(record: Mapping[str, Any]) -> bool:
    """Whether the record has a true and a predicted class."""
    return record.get("label") is not None and record.get("predicted") is not None


def accuracies(records: Sequence[Mapping[str, Any]]) -> list[float]:
    """1 where the predicted class is the label, else 0; the mean is the accuracy.

    NGDiff (arXiv 2410.22086) reports it for forgotten and retained classes, Table 4.

    >>> accuracies([{"label": 3, "predicted": 3}, {"label": 3, "predicted": 5}])
    [1.0, 0.0]
    """
    return [float(record["predicted"] == record["label"]) for record in records]
