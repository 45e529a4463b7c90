"""The evaluations of a sweep, from its `sweep.json`."""

import json
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.file_names import SWEEP
from ngdiff.scoring.check_metrics import check_metrics


def read_sweep(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The metrics of each run that has any, including those of the shared models, by name.

    Args:
        path: A `sweep.json`.

    Returns:
        The metrics, and the names of the retrained models, the references of a comparison.

    Raises:
        InputError: the file is not the record of a sweep, or contains invalid metrics.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        runs = {name: (run["role"], run["metrics"]) for name, run in content["runs"].items()}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a valid {SWEEP}: {type(error).__name__} {error}") from error
    found: dict[str, dict[str, Any]] = {}
    for name, (_, metrics) in runs.items():
        if metrics is None:
            continue
        if not isinstance(metrics, dict):
            raise InputError(f"{path} is not a valid {SWEEP}: the metrics of {name} are not an object")
        check_metrics(metrics, f"{path}, {name}")
        found[name] = metrics
    return found, [name for name, (role, _) in runs.items() if role == "retrained" and name in found]
