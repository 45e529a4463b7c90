"""The evaluations of a sweep, from its `sweep.json`."""

import json
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.scoring.check_metrics import check_metrics

SWEEP = "sweep.json"


def read_sweep(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The metrics of each run that has some, those of the shared models among them, by name.

    Args:
        path: A `sweep.json`.

    Returns:
        The runs, and the names of the retrained models, the references of a comparison.

    Raises:
        InputError: the file is no record of a sweep, or holds metrics that cannot be used.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = {name: (run["role"], run["metrics"]) for name, run in content["runs"].items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no {SWEEP}: {type(error).__name__} {error}") from error
    found: dict[str, dict[str, Any]] = {}
    for name, (_, metrics) in runs.items():
        if metrics is None:
            continue
        if not isinstance(metrics, dict):
            raise InputError(f"{path} is no {SWEEP}: the metrics of {name} are no object")
        check_metrics(metrics, f"{path}, {name}")
        found[name] = metrics
    return found, [name for name, (role, _) in runs.items() if role == "retrained" and name in found]
