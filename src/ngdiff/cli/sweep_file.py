"""The request of a sweep: a YAML file, `--grid`, and options of `ngdiff unlearn` on the command line."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ngdiff.cli.config_file import read_config
from ngdiff.errors import InputError
from ngdiff.secrets import is_secret
from ngdiff.sweep import Axes, check_axes, read_axes

_KEYS = ("grid", "search", "trials", "variants", "options", "stages", "output", "jobs")
_STAGES = ("target", "retrained", "evaluate", "score")
VARIANT = "variant"  # the axis whose values are names of variants
TRIAL = "trial"  # that of a search, whose values are numbers


@dataclass(frozen=True)
class Stages:
    """The stages of a sweep other than unlearning.

    Attributes:
        target: Options of `ngdiff finetune` for the model that forgets; None: `--model` is that model.
        retrained: The model that never saw the forget set: its options of `ngdiff finetune`, or its folder or hub name.
            True: as the target, on the retain set alone. None: there is none.
        evaluate: Options of `ngdiff evaluate` in addition to those that follow from the run; None: nothing is
            evaluated.
        score: The same of `ngdiff score`; None: no scores against the models before and retrained.
    """

    target: Mapping[str, Any] | None = None
    retrained: Mapping[str, Any] | str | bool | None = None
    evaluate: Mapping[str, Any] | None = field(default_factory=dict)
    score: Mapping[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class SweepFile:
    """A sweep as requested.

    Attributes:
        place: How messages name it.
        axes: The grid; with variants one of its axes is `VARIANT`.
        options: Of `ngdiff unlearn`, for all runs.
        variants: Name -> options of `ngdiff unlearn` that belong together; they win over `options`.
        stages: The other stages.
        output: Folder, where the file names one.
        jobs: Processes at once, where the file says how many.
        search: Option -> what a search may choose for it (`ngdiff.sweep.read_space`), in place of a grid.
        trials: Of a search, where the file says how many.
        varied_by: The axis of the variants: `TRIAL` in a search.
    """

    place: str
    axes: Axes
    options: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
    output: str | None = None
    jobs: int | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    varied_by: str = VARIANT

    @property
    def place_of_variants(self) -> str:
        """How messages name what varies beside the grid."""
        return f"{self.place}: {'search' if self.varied_by == TRIAL else 'variants'}"

    @property
    def grid(self) -> str:
        """How messages name the grid."""
        return self.place if self.place == "--grid" else f"{self.place}: grid"

    def as_json(self) -> dict[str, Any]:
        """For `sweep.json`, without secrets."""
        stages = {name: getattr(self.stages, name) for name in _STAGES}
        variants = {"variants": _shown(self.variants)} if self.variants else {}
        varied = {"search": dict(self.search)} if self.search else {"grid": dict(self.axes), **variants}
        return {**varied, "options": _shown(self.options), "stages": _shown(stages)}


def read_sweep_file(file: str | None, grid: Sequence[str], *, search: bool = False) -> SweepFile:
    """The sweep of a file, of `--grid`, or of both: an axis of `--grid` replaces that of the file.

    Args:
        file: As typed.
        grid: Words of `--grid`.
        search: Whether the file's `search` is asked for.

    Raises:
        InputError: a file that cannot be read, keys that it may not have, values of another kind, or no grid.
    """
    found = {} if file is None else read_config(file, None)
    place = file or "--grid"
    _known(found, _KEYS, place)
    # None if a key has no value: as if it were absent.
    keys = ("grid", "search", "variants", "options", "stages")
    parts = {key: _mapping(found.get(key) or {}, f"{place}: {key}") for key in keys}
    variants = {name: _mapping(own or {}, f"{place}: variants: {name}") for name, own in parts["variants"].items()}
    axes: dict[str, Any] = {VARIANT: list(variants)} if variants else {}
    axes |= {name.replace("-", "_"): values for name, values in parts["grid"].items()} | read_axes(grid)
    _check_kind(parts, axes, place, search=search)
    if not search:
        check_axes(axes, place if file is None else f"{file}: grid")
    if variants:
        _known(map(str, axes[VARIANT]), variants, f"{place}: {VARIANT}")
    output, jobs, trials = (found.get(name) for name in ("output", "jobs", "trials"))
    if output is not None and not isinstance(output, str):
        raise InputError(f"{place}: output is {output!r}, not a folder")
    for name, value, what in (("jobs", jobs, "processes"), ("trials", trials, "trials")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{place}: {name} is {value!r}, not a number of {what}, 1 or more")
    stages = _stages(parts["stages"], f"{place}: stages")
    own = {name.replace("-", "_"): value for name, value in parts["search"].items()}
    by = TRIAL if search else VARIANT
    return SweepFile(place, axes, parts["options"], variants, stages, output, jobs, own, trials, by)


def _check_kind(parts: Mapping[str, Any], axes: Axes, place: str, *, search: bool) -> None:
    """Refuse a grid and a search in one call."""
    if search and not parts["search"]:
        raise InputError(f"--search: {place} has no `search`, the options to choose and their values")
    if search and (axes or parts["variants"]):
        raise InputError(f"--search: {place} has a grid or variants, too; a search has a file of its own")
    if not search and parts["search"]:
        raise InputError(f"{place} has a `search`: give --search; a grid has a file of its own")


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """All options, without the values of those that hold a secret."""
    return {
        name: "***" if is_secret(name) else _shown(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
    }


def _stages(found: Mapping[str, Any], place: str) -> Stages:
    _known(found, _STAGES, place)
    chosen: dict[str, Any] = {}
    for name in ("evaluate", "score"):
        value = found.get(name)
        if value is False:
            chosen[name] = None
        elif value is not None and value is not True:
            chosen[name] = _mapping(value, f"{place}: {name}")
    if (target := found.get("target")) is not None:
        chosen["target"] = _mapping(target, f"{place}: target")
    retrained = found.get("retrained")
    if retrained is True and target is None:
        raise InputError(
            f"{place}: retrained is true, and there is no target to train it as; give its options of ngdiff finetune, "
            "or its folder"
        )
    if isinstance(retrained, Mapping):
        chosen["retrained"] = _mapping(retrained, f"{place}: retrained")
    elif isinstance(retrained, bool | str | None):
        chosen["retrained"] = retrained or None
    else:
        raise InputError(f"{place}: retrained is {retrained!r}, not true, a folder, or options of ngdiff finetune")
    return Stages(**chosen)


def _known(found: Iterable[str], keys: Collection[str], place: str) -> None:
    for key in found:
        if key not in keys:
            close = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(keys)}"
            raise InputError(f"{place}: {key[:80]} is not known; {hint}")


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}, not options with their values")
    return {str(key): own for key, own in value.items()}
