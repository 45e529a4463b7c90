"""Evaluations from their folders, by name."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.file_names import EVALUATION, METRICS_FILE, SWEEP
from ngdiff.paths import check_regular, user_path
from ngdiff.scoring.check_metrics import check_metrics
from ngdiff.scoring.quantities import is_set
from ngdiff.scoring.sweeps import read_sweep


def read_runs(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The metrics of every run, by name, in the order given.

    Args:
        words: `FOLDER` or `NAME=FOLDER`. A folder contains `metrics.json`, or exactly one folder that does, such as an
            unlearning run with its evaluation inside; a `metrics.json` itself is also accepted. Without NAME, a run has
            the name of its folder. A file with several evaluations by name, such as that of `ngdiff demo`, gives one
            run for each, `NAME/evaluation`. A sweep (`sweep.json` or its folder) gives all its runs by their names, or
            `NAME/RUN` with a NAME.

    Raises:
        InputError: a missing file, a file without metrics, or two runs with one name.
    """
    return {name: numbers for name, numbers, _ in _runs(words)}


def files_by_name(words: Sequence[str]) -> dict[str, Path]:
    """The `metrics.json` of every run, by name as in `read_runs`; without those that have no file of their own.

    Raises:
        InputError: as `read_runs`.
    """
    return {name: file for name, _, file in _runs(words) if file is not None}


def _runs(words: Sequence[str]) -> list[tuple[str, dict[str, Any], Path | None]]:
    """Name, metrics and file of every run; None for the file of several."""
    runs: list[tuple[str, dict[str, Any], Path | None]] = []
    for word in words:
        name, place = name_and_place(word)
        if (sweep := sweep_file(place)) is not None:
            for own, numbers in read_sweep(sweep)[0].items():
                file = sweep.parent / own / EVALUATION / METRICS_FILE
                runs.append((f"{name}/{own}" if name else own, numbers, file if file.is_file() else None))
            continue
        path = metrics_file(place)
        metrics = read_metrics(path)
        name = name or path.resolve().parent.name
        parts = {} if _has_sets(metrics) else metrics
        several = {key: value for key, value in parts.items() if isinstance(value, dict) and _has_sets(value)}
        runs += [(f"{name}/{key}", value, None) for key, value in several.items()]
        if not several:
            if not (_has_sets(metrics) or "lm_eval" in metrics):
                raise InputError(f"{path} holds no metrics of a set; `ngdiff evaluate` and `ngdiff score` write some")
            runs.append((name, metrics, path))
    names = [name for name, _, _ in runs]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(f"two runs are named {name!r}; give them different names with NAME=FOLDER")
    return runs


def references_in(words: Sequence[str]) -> list[str]:
    """The names, as in `read_runs`, of the retrained models in the sweeps among `words`."""
    found = []
    for word in words:
        name, place = name_and_place(word)
        if (sweep := sweep_file(place)) is not None:
            found += [f"{name}/{own}" if name else own for own in read_sweep(sweep)[1]]
    return found


def files_of(words: Sequence[str]) -> list[Path]:
    """The files that `read_runs` reads.

    Raises:
        InputError: nothing there.
    """
    places = [name_and_place(word)[1] for word in words]
    return [sweep_file(place) or metrics_file(place) for place in places]


def sweep_file(place: Path) -> Path | None:
    """The `sweep.json` of a sweep; None for any other path."""
    if place.is_file():
        return place if place.name == SWEEP else None
    return place / SWEEP if (place / SWEEP).is_file() else None


def name_and_place(word: str) -> tuple[str, Path]:
    """Name (empty if not given) and path of `FOLDER` or `NAME=FOLDER`; a path that exists may contain a `=`.

    Raises:
        InputError: an empty name, or an invalid path.
    """
    name, equals, place = word.partition("=")
    if equals and not user_path(word).exists():
        if not name.strip():
            raise InputError(f"{word}: the name before = is empty")
        return " ".join(name.split()), user_path(place)
    return "", user_path(word)


def metrics_file(place: Path) -> Path:
    """The `metrics.json` of a path: the file itself, the one in a folder, or the only one in its subfolders.

    Raises:
        InputError: none, or several.
    """
    if place.is_file():
        return place
    if not place.is_dir():
        raise InputError(f"{place}: no such file or folder")
    if (place / METRICS_FILE).is_file():
        return place / METRICS_FILE
    found = sorted(place.glob(f"*/{METRICS_FILE}"))
    if len(found) > 1:
        raise InputError(
            f"{place} holds several evaluations: {', '.join(str(path.parent) for path in found)}; name one"
        )
    if not found:
        raise InputError(f"{place} and its folders contain no {METRICS_FILE}; `ngdiff evaluate --output` writes one")
    return found[0]


def read_metrics(path: Path) -> dict[str, Any]:
    """The contents of a `metrics.json`.

    Raises:
        InputError: it is not a valid one.
    """
    check_regular(path)
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a valid {METRICS_FILE}: {error}") from error
    if not isinstance(metrics, dict):
        raise InputError(f"{path} is not a valid {METRICS_FILE}: it contains no object")
    check_metrics(metrics, str(path))
    return metrics


def _has_sets(metrics: Mapping[str, Any]) -> bool:
    return any(is_set(value) for value in metrics.values())


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
