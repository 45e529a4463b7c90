"""Runs and evaluations from their folders; hashes of weights show which belong together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError, named
from ngdiff.evidence.read_run import read_run
from ngdiff.file_names import MANIFEST, MERGED_BASE, METRICS_FILE, PRIVATE, RECORDS
from ngdiff.paths import user_path
from ngdiff.scoring.runs import metrics_file, name_and_place, read_metrics

_WEIGHTS = ".safetensors"
_TRAINING = ("unlearn", "finetune", "merge", "demo", "python")
# Folders of `ngdiff demo`.
_DEMO = {"before": "target/scores", "after": "unlearned/scores", "retrained": "retrained/scores"}


@dataclass(frozen=True)
class Run:
    """A run that wrote a model.

    Attributes:
        folder: Where it wrote.
        options: Its `config.yaml`.
        manifest: Its `manifest.json`.
    """

    folder: Path
    options: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def command(self) -> str:
        """`unlearn`, `finetune` or `demo`; `python` for `ngdiff.training.save_with_evidence`."""
        return _command(self.manifest)


@dataclass(frozen=True)
class Evaluation:
    """What `ngdiff evaluate` or `ngdiff score` wrote.

    Attributes:
        file: The `metrics.json`.
        metrics: Its contents, checked.
        options, manifest: Of the evaluation; empty where the file lies without them.
    """

    file: Path
    metrics: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the file lies, and records may."""
        return self.file.parent

    @property
    def has_records(self) -> bool:
        """Whether the records are next to the numbers."""
        return any((self.folder / PRIVATE).glob(RECORDS))


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes:
        name: As given, else that of the folder.
        evaluation: Of the model.
        run: That wrote the model; None where it is not known.
        before, retrained: Places of evaluations that belong to it, where the folder says so.
    """

    name: str
    evaluation: Evaluation
    run: Run | None = None
    before: Path | None = None
    retrained: Path | None = None


def read_subject(word: str, scores: str | None = None) -> Subject:
    """A run with its evaluation, from the folder of either.

    Args:
        word: `FOLDER` or `NAME=FOLDER`. Of a run that trained: its evaluation is `scores`, or is looked for in the
            folder, in its subfolders, and in those next to it: the one whose manifest names the run's weights. Of an
            evaluation, or its `metrics.json`: the run is looked for where the manifest says that the model lies, and
            beside.
        scores: The evaluation of a run.

    Raises:
        InputError: nothing there; a run that is not finished, or has no evaluation, or several; weights that differ
            from those evaluated; what the folder holds is damaged.
    """
    name, place = name_and_place(word)
    name = name or place.resolve().name
    run = run_in(place)
    if run is None:
        if scores is not None:
            raise InputError(f"--scores {scores} is for the folder of a run, and {place} is none: it is an evaluation")
        evaluation = read_evaluation(place)
        return Subject(name if place.is_dir() else evaluation.folder.resolve().name, evaluation, run_of(evaluation))
    if run.command == "demo" and scores is None:
        places = {role: place / folder for role, folder in _DEMO.items()}
        evaluation = read_evaluation(places["after"])
        return Subject(name, evaluation, run, before=places["before"], retrained=places["retrained"])
    return Subject(name, _evaluation_of(run, scores), run)


def read_evaluation(place: str | Path) -> Evaluation:
    """An evaluation from its folder or its `metrics.json`.

    Raises:
        InputError: nothing there, or what is there is damaged.
    """
    file = metrics_file(user_path(place))
    metrics = read_metrics(file)
    if not (file.parent / MANIFEST).is_file():
        return Evaluation(file, metrics)
    options, manifest = read_run(file.parent)
    if _command(manifest) != "evaluate":
        return Evaluation(file, metrics)
    return Evaluation(file, metrics, options, manifest)


def weights(files: Mapping[str, str]) -> dict[str, str]:
    """Hashes of the weights among the hashes of files, by their name without a folder; not of the base of an adapter.

    >>> weights({"config.json": "a", "ruined/model.safetensors": "b", "merged_base/model.safetensors": "c"})
    {'model.safetensors': 'b'}
    """
    own = {Path(name): digest for name, digest in files.items() if name.endswith(_WEIGHTS)}
    return {path.name: digest for path, digest in own.items() if MERGED_BASE not in path.parts}


def are_of_one_model(run: Run, evaluation: Evaluation) -> bool | None:
    """Whether the weights evaluated are those that the run wrote; None where one of them does not say."""
    written = weights(run.manifest["outputs"])
    measured = weights(evaluation.manifest.get("model", {}).get("files", {}))
    return written == measured if written and measured else None


def _command(manifest: Mapping[str, Any]) -> str:
    """The word after `ngdiff`, or the only one."""
    return str(manifest["command"][:2][-1])


def run_in(place: Path) -> Run | None:
    """The run that wrote a folder; None for a folder of something else."""
    if not (place / MANIFEST).is_file():
        return None
    options, manifest = read_run(place)
    if _command(manifest) not in _TRAINING:
        return None
    if manifest["extra"].get("finished") is False:
        raise InputError(f"the run in {place} is not finished; continue with --resume, and evaluate its model")
    return Run(place, options, manifest)


def _evaluation_of(run: Run, scores: str | None) -> Evaluation:
    if scores is not None:
        with named("--scores"):
            evaluation = read_evaluation(scores)
        if are_of_one_model(run, evaluation) is False:
            raise InputError(f"--scores {scores} evaluates other weights than {run.folder} holds; evaluate that model")
        return evaluation
    found, stale = [], []
    for evaluation in _evaluations_near(run.folder):
        same = are_of_one_model(run, evaluation)
        if same or (same is None and run.folder in (evaluation.folder, evaluation.folder.parent)):
            found.append(evaluation)
        elif same is False and _is_at(evaluation, run.folder):
            stale.append(evaluation)
    if len(found) > 1:
        places = ", ".join(str(one.folder) for one in found)
        raise InputError(f"{run.folder} has several evaluations: {places}; name one with --scores")
    if found:
        return found[0]
    if stale:
        raise InputError(
            f"{stale[0].folder} evaluates {run.folder} as it was before: the weights differ; evaluate the model again"
        )
    raise InputError(
        f"no evaluation of {run.folder} is in it or beside it; make one, ngdiff evaluate --model {run.folder} ... "
        "--output SCORES, or name it with --scores"
    )


def _evaluations_near(folder: Path) -> Iterator[Evaluation]:
    around = folder.resolve().parent
    inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    beside = sorted(path for path in around.iterdir() if path.is_dir() and path != folder.resolve())
    for place in inside:
        if (place / METRICS_FILE).is_file():
            yield read_evaluation(place)
    for place in beside:
        if (place / METRICS_FILE).is_file() and (place / MANIFEST).is_file():
            try:
                yield read_evaluation(place)
            except InputError:  # a damaged folder of somebody else is not looked into
                continue


def _is_at(evaluation: Evaluation, folder: Path) -> bool:
    source = evaluation.manifest.get("model", {}).get("source")
    return source is not None and Path(source).resolve() == folder.resolve()


def run_of(evaluation: Evaluation) -> Run | None:
    """The run that wrote the model of an evaluation: where its manifest says that the model lies, or beside; None where
    there is none.

    Raises:
        InputError: the model lies there, and its weights are others than those evaluated.
    """
    source = evaluation.manifest.get("model", {}).get("source")
    if source is None:
        return None
    own = evaluation.folder.resolve()
    for place in (user_path(source), own.parent, own.parent / Path(source).name):
        run = run_in(place)
        if run is None:
            continue
        if are_of_one_model(run, evaluation):
            return run
        if place == user_path(source):
            raise InputError(
                f"{evaluation.folder} evaluates {source} as it was before: the weights differ; evaluate the model again"
            )
    return None
