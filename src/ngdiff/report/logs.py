"""The log of an unlearning run, written and read: the figures of each step and of each probe of the learning rate."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.file_names import REPORT, TRAINING_LOG
from ngdiff.report.svg import Point
from ngdiff.writing import make_folder, without_nan, write_json

Rows = Sequence[Mapping[str, Any]]


class Log(NamedTuple):
    """`steps`: a line for each; `probes`: of the learning rate, as `ngdiff.core.autolr.Probe` has them; `unit`: what a
    loss is a mean over, token or image."""

    steps: Rows = ()
    probes: Rows = ()
    unit: str = "token"

    def points(self, key: str) -> list[Point]:
        """A number of the steps that have it, as (step, value)."""
        own: list[tuple[Any, Any]] = [(row.get("step"), row.get(key)) for row in self.steps]
        return [(float(a), float(b)) for a, b in own if is_number(a) and is_number(b)]


def write_log(folder: Path, log: Log) -> None:
    """Write the log of a run into its folder; numbers that are not finite become null.

    Raises:
        WriteError: the disk is full, or the folder cannot be written.
    """
    make_folder(folder / REPORT)
    write_json(folder / TRAINING_LOG, without_nan(log._asdict()))


def read_log(folder: Path) -> Log:
    """The log in the folder of a run; an empty one where there is none.

    Raises:
        InputError: `report/training_log.json` is there and is none, or lies beside the model.
    """
    path = folder / TRAINING_LOG
    if not path.is_file():
        if (misplaced := folder / path.name).is_file():
            raise InputError(f"{misplaced} belongs in {path.parent}: another version of ngdiff wrote it; run it again")
        return Log()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows, probes = content["steps"], content.get("probes", [])
        unit = str(content.get("unit", Log().unit))
        usable = all(isinstance(row, dict) for row in (*rows, *probes))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no log of a run ({error})") from error
    if not usable:
        raise InputError(f"{path} is damaged: a step is no object")
    return Log(rows, probes, unit)


def is_number(value: Any) -> bool:
    """Whether a value of a log is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
