"""Scalability and sustainability: metrics of a method by the amount of data it had to forget."""

import re

from ngdiff.errors import InputError
from ngdiff.scoring.compare import Comparison

_NAME = re.compile(r"(.+)@(\d+)")


def sequences(table: Comparison) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
    """For each metric (with its arrow) and method, the pairs (k, value) in order of k, from runs named `METHOD@K`.

    MUSE (arXiv 2407.06460, Section 3.1): *scalability* (C5) evaluates the model that forgot the union of k folds,
    *sustainability* (C6) the model after the k-th of several requests. Both have the same table and differ only in how
    the models were made.

    Raises:
        InputError: a run with another form of name, or two with one method and k.
    """
    found: dict[str, dict[str, list[tuple[int, float | None]]]] = {
        f"{title} {way}".rstrip(): {} for title, way in zip(table.titles, table.arrows, strict=True)
    }
    for name, values in zip(table.names, table.values, strict=True):
        match = _NAME.fullmatch(name)
        if match is None:
            raise InputError(f"run {name!r}: a curve needs runs named METHOD@K, such as ngdiff@2=FOLDER")
        method, k = match[1], int(match[2])
        for own, value in zip(found.values(), values, strict=True):
            points = own.setdefault(method, [])
            if k in (other for other, _ in points):
                raise InputError(f"run {name!r}: there are two runs of {method} with K = {k}")
            points.append((k, value))
    return {
        title: {method: sorted(points, key=lambda point: point[0]) for method, points in own.items()}
        for title, own in found.items()
    }
