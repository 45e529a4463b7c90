"""A model is compared with others than itself, each in the role that it can have, as far as hashes of weights say."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evidence.same_model import is_same_model, refuse_same_model
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path
from ngdiff.report.folders import Run, run_in, weights
from ngdiff.scoring.groups import group_of
from ngdiff.scoring.runs import files_by_name

Model = Mapping[str, Any]  # as `ngdiff.manifest.describe_model` describes it; empty where nothing is known


def model_of(place: Path) -> Model:
    """The model in the manifest of an evaluation or an audit; empty where there is none.

    Args:
        place: Its folder, or one of its files.
    """
    folders = [place, place.parent, place.parent.parent] if place.is_file() else [place]
    for folder in folders:
        content, fault = read_sealed(folder / MANIFEST)
        if not fault:
            return content["model"] or {}
    return {}


def writer_of(model: Model, evaluation: Path | None = None) -> Run | None:
    """The run that wrote a model, if it is still there unchanged.

    Args:
        model: As a manifest describes it.
        evaluation: Folder of an evaluation, or one of its files: the run may have been moved together with it.
    """
    where = model.get("place") or model.get("source")
    if where is None:
        return None
    places = [user_path(where)]
    if evaluation is not None:
        around = [*evaluation.resolve().parents][:3]
        places += [*around, *(folder / Path(where).name for folder in around)]
    for folder in places:
        try:
            run = run_in(folder)
        except InputError:  # not finished, or damaged
            continue
        written = {} if run is None else weights(run.manifest["outputs"])
        if written and written == weights(model.get("files", {})):
            return run
    return None


def check_compared(model: Model, run: Run | None, given: Mapping[str, tuple[str, Model]]) -> None:
    """Refuse models that cannot have the role they are given in: the numbers would look right and mean nothing.

    Args:
        model: That has unlearned.
        run: That wrote it, where it is known.
        given: By option (`before`, `retrained`, `never_trained`, `base`) what was typed, and the model.

    Raises:
        InputError: a reference, which never saw the rows to forget, is the model itself or one that it was before
            unlearning; the model before is the model itself.
    """
    earlier = [*models_before(run), *(other for role, (_, other) in given.items() if role == "before")]
    for role, (word, other) in given.items():
        what = f"--{role.replace('_', '-')} {word}"
        if role != "before":
            refuse_same_model(what, other, model)
            if any(is_same_model(other, one) for one in earlier):
                raise InputError(
                    f"{what}: it has the weights of the model before unlearning, which saw the rows; name a model that "
                    "never saw them"
                )
        # A run may end where it began, such as with --utility-floor: then the two have the same weights.
        elif is_same_model(other, model) and not any(is_same_model(one, model) for one in models_before(run)):
            raise InputError(f"{what}: it has the weights of the model itself; name the model before unlearning")


def models_before(run: Run | None) -> Iterator[Model]:
    """What a run of unlearning started from, and the runs before it, as far as they are still there; the last first."""
    passed: set[Path] = set()
    while run is not None and "forget" in run.manifest["data"] and run.folder.resolve() not in passed:
        passed.add(run.folder.resolve())
        model = run.manifest["model"]
        if run.command != "merge":  # which reads the model that it writes, in two parts
            yield model
        run = writer_of(model)


def check_references(words: Sequence[str], references: Collection[str], *, grouped: bool = False) -> None:
    """Refuse a comparison with a reference that is one of the models compared.

    Args:
        words: Of runs, as of `ngdiff.scoring.runs.read_runs`.
        references: Names of those that never saw the rows to forget.
        grouped: Whether a name stands for all runs that differ from it by their seed alone.

    Raises:
        InputError: names both.
    """
    files = files_by_name(words)
    marks = {*references, *(map(group_of, references) if grouped else ())}
    marked = {name for name in files if name in marks or (grouped and group_of(name) in marks)}
    models = {name: model_of(file) for name, file in files.items()}
    for reference in sorted(marked):
        for name in files:
            same = files[name].resolve() == files[reference].resolve() or is_same_model(models[name], models[reference])
            if name not in marked and same:
                raise InputError(
                    f"--reference {reference}: it has the weights of {name}, which is compared with it; a reference is "
                    "another model, which never saw the rows to forget"
                )
