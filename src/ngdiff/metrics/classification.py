"""Accuracy of a classifier."""

from ngdiff.metrics.records import Record, Records


def has_label(record: Record) -> bool:
    """Whether the record has a true and a predicted class."""
    return record.get("label") is not None and record.get("predicted") is not None


def accuracies(records: Records) -> list[float]:
    """1 where the predicted class is the label, else 0; the mean is the accuracy.

    NGDiff (arXiv 2410.22086) reports it for forgotten and retained classes, Table 4.

    >>> accuracies([{"label": 3, "predicted": 3}, {"label": 3, "predicted": 5}])
    [1.0, 0.0]
    """
    return [float(record["predicted"] == record["label"]) for record in records]
