"""`ngdiff score`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ngdiff.cli.audited import check_audited
from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.require import Judge, RequireOptions, tell
from ngdiff.errors import InputError
from ngdiff.evidence.scored import ABILITIES, record_scoring, sealed_evaluation
from ngdiff.file_names import METRICS_FILE
from ngdiff.metrics import AUC_RETRAIN, CONFIDENCE, score
from ngdiff.metrics.same_rows import sets_of_other_rows
from ngdiff.option import check_choice
from ngdiff.paths import user_path
from ngdiff.ranges import SEED, Range
from ngdiff.report.compared_models import check_compared, model_of, writer_of
from ngdiff.scoring import (
    distance_notes,
    format_comparison,
    over_forgotten_notes,
    read_metrics,
    read_robustness,
    read_sets,
    record_files,
    reference_notes,
)
from ngdiff.secrets import masked
from ngdiff.writing import write_json

_LEVEL = Range(0, 1, without_least=True, without_largest=True)


@dataclass
class ScoreOptions(RequireOptions):
    """What to compare with, and where the numbers go."""

    output: str | None = option(None, help="file for the numbers, such as metrics.json; none: table only", value="FILE")
    overwrite: bool = option(False, help="replace that file")
    retrained: str | None = option(
        None,
        help="evaluation of a model that never saw the forget set (folder or file): for D, how far the model is from "
        "it, forget quality, PrivLeak and Privacy",
        value="RUN",
    )
    before: str | None = option(
        None,
        help="evaluation of the model before unlearning: the unit of D, and what holdout rows cost since (collateral)",
        value="RUN",
    )
    base: str | None = option(
        None,
        help="evaluation of a model that saw neither forget nor holdout set, such as that before fine-tuning: for D "
        "against holdout rows (what records say of --base-model)",
        value="RUN",
    )
    audit: str | None = option(
        None, help="audit of the model (folder or audit.json of `ngdiff audit`): its Robustness", value="AUDIT"
    )
    muse_corpus: str = option(
        "news", help="whose published retrained model PrivLeak is taken against without --retrained: news, books"
    )
    confidence: float | None = option(
        CONFIDENCE, help="level of the confidence intervals; none: no intervals", accepted=_LEVEL
    )
    seed: int = option(0, help="seed of the bootstrap", accepted=SEED)


PARSER = CommandParser(
    "score",
    "Recompute every metric from the records of one model: folders that `ngdiff evaluate --output` wrote, or files "
    "records_SET.jsonl. No model is loaded.",
    {"scoring": ScoreOptions},
    required=(),
    words="records",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options or records that cannot be used.
        VerdictError: what was required is not met; all is written.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: ScoreOptions = PARSER.build(ScoreOptions, values)
    check_choice("--muse-corpus", options.muse_corpus, AUC_RETRAIN)
    judge = Judge(options, *(source for source in values["records"] if user_path(source).is_dir()))
    files = [file for source in values["records"] for file in record_files(source)]
    given = {name: getattr(options, name) for name in ("retrained", "before", "base")}
    others = {name: record_files(source, f"--{name}") for name, source in given.items() if source is not None}
    _check_output(options, files, others)
    _check_models(values["records"], {name: source for name, source in given.items() if source is not None})
    robustness = None
    if options.audit is not None:
        robustness = read_robustness(options.audit)
        check_audited(options.audit, values["records"])
    own, sets = read_sets(files), {name: read_sets(other) for name, other in others.items()}
    against: list[str] = [name for name in ("before", "retrained") if name in sets]
    unlike = {name: sets_of_other_rows(own, sets[name]) for name in against}
    judge.refuse_other_rows(unlike.get("before", ()))
    chosen: dict[str, Any] = {"corpus": options.muse_corpus, "confidence": options.confidence, "seed": options.seed}
    metrics = score(own, **cast(Any, sets), robustness=robustness, **chosen)  # by role
    columns = {name: score(sets[name], **chosen) for name in against}
    verdicts = judge.verdicts(metrics, columns.get("before"))
    if options.output is not None:
        _write(user_path(options.output, "--output"), metrics, files, others, words)
    sys.stdout.write("\n".join([_table(metrics, columns), *_notes(metrics, columns, unlike, options)]) + "\n")
    if options.output is not None:
        sys.stdout.write(f"Written to {options.output}\n")
    tell(verdicts, ", ".join(map(str, values["records"])))


def _check_models(records: Sequence[str], given: Mapping[str, str]) -> None:
    """Refuse evaluations of models that cannot be what the options call them."""
    others = {name: (source, model_of(user_path(source, f"--{name}"))) for name, source in given.items()}
    for source in records:
        place = user_path(source)
        if "before" in given and place.resolve() == user_path(given["before"]).resolve():
            raise InputError(
                f"--before {given['before']}: it is the evaluation that is scored; name that of the model "
                "before unlearning"
            )
        own = model_of(place)
        check_compared(own, writer_of(own, place), others)


def _check_output(options: ScoreOptions, files: Sequence[Path], others: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a file that cannot be written, or that would replace one that is read."""
    if options.output is not None:
        inputs = [*files, *(file for other in others.values() for file in other)]
        check_output_file(options.output, overwrite=options.overwrite, inputs=inputs, may_replace=(METRICS_FILE,))


def _write(
    target: Path,
    metrics: Mapping[str, Any],
    files: Sequence[Path],
    others: Mapping[str, Sequence[Path]],
    words: Sequence[str],
) -> None:
    """Write the numbers, and where they replace those of an evaluation its manifest."""
    numbers = {**metrics, **_of_a_model(target)}
    manifest = sealed_evaluation(target, files, numbers)
    write_json(target, numbers)
    if manifest is not None:
        record_scoring(target, manifest, masked(["ngdiff", "score", *words]), others)


def _table(metrics: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> str:
    """The model between the one before and the retrained one, of which intervals would be too much."""
    shown: dict[str, Mapping[str, Any]] = {"value": metrics}
    for name, other in columns.items():
        shown[name] = {key: value for key, value in other.items() if key != "confidence"}
    return format_comparison({name: shown[name] for name in ("before", "value", "retrained") if name in shown})


def _notes(
    metrics: Mapping[str, Any],
    columns: Mapping[str, Mapping[str, Any]],
    unlike: Mapping[str, Sequence[str]],
    options: ScoreOptions,
) -> list[str]:
    """What the table does not say of itself; `unlike`: sets of which another evaluation has other rows."""
    notes = distance_notes(metrics) if columns else []
    if "retrained" in columns and options.confidence is not None:
        notes += over_forgotten_notes({"the model": metrics}, {"retrained": columns["retrained"]})
    retrained = {name: one for name, one in columns.items() if name == "retrained"}
    notes += reference_notes({"the model": metrics, **{k: v for k, v in columns.items() if k == "before"}}, retrained)
    notes += [
        f"note: {name} is of other rows of {', '.join(found)}, whose numbers do not compare"
        for name, found in unlike.items()
        if found
    ]
    images = "accuracy" in metrics.get("forget", {})  # they have no answers and no tokens
    if "retrained" in columns and not images and not _compared(metrics):
        notes.append(
            "note: no forget quality, which needs perturbed answers of the set forget from both models, and no "
            "PrivLeak against the retrained one, which needs token losses of muse_privleak_forget and "
            "muse_privleak_holdout"
        )
    return notes


def _of_a_model(target: Path) -> dict[str, Any]:
    """Numbers in the file to be replaced that cannot be computed from records: general abilities.

    Raises:
        InputError: the file is there and is no `metrics.json`.
    """
    if not target.exists():
        return {}
    abilities = read_metrics(target).get(ABILITIES)
    return {} if abilities is None else {ABILITIES: abilities}


def _compared(metrics: Mapping[str, Any]) -> bool:
    return "forget_quality" in metrics or metrics.get("privleak_retrained", {}).get("source") == "records"
