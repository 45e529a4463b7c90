"""`ngdiff score`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.files import check_file, write_json
from ngdiff.metrics import AUC_RETRAIN, CONFIDENCE, score
from ngdiff.paths import user_path
from ngdiff.scoring import format_comparison, over_forgotten_notes, read_metrics, read_sets, record_files


@dataclass
class ScoreOptions:
    """What to compare with, and where the numbers go."""

    output: str | None = option(None, help="file for the numbers, such as metrics.json; none: table only", value="FILE")
    overwrite: bool = option(False, help="replace that file")
    retrained: str | None = option(
        None,
        help="evaluation of a model that never saw the forget set (folder or file): for forget quality and PrivLeak",
        value="RUN",
    )
    muse_corpus: str = option(
        "news", help="whose published retrained model PrivLeak is taken against without --retrained: news, books"
    )
    confidence: float | None = option(CONFIDENCE, help="level of the confidence intervals; none: no intervals")
    seed: int = option(0, help="seed of the bootstrap")


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
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: ScoreOptions = PARSER.build(ScoreOptions, values)
    if options.confidence is not None and not 0 < options.confidence < 1:
        raise InputError(f"--confidence {options.confidence} is not between 0 and 1; 0.95, say, or none")
    if options.muse_corpus not in AUC_RETRAIN:
        raise InputError(f"--muse-corpus {options.muse_corpus} is not known; one of {', '.join(AUC_RETRAIN)}")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed} is not 0 or more")
    files = [file for source in values["records"] for file in record_files(source)]
    others = [] if options.retrained is None else record_files(options.retrained)
    if options.output is not None:
        check_file(options.output, overwrite=options.overwrite, inputs=[*files, *others])
    chosen: dict[str, Any] = {
        "corpus": options.muse_corpus,
        "confidence": options.confidence,
        "seed": options.seed,
    }
    retrained = read_sets(others) if others else None
    metrics = score(read_sets(files), retrained=retrained, **chosen)
    columns = {"value": metrics}
    notes: list[str] = []
    if retrained is not None:
        columns["retrained"] = score(retrained, **chosen)
        if options.confidence is not None:
            notes = over_forgotten_notes({"the model": metrics}, {"retrained": columns["retrained"]})
        columns["retrained"].pop("confidence", None)  # a column of its own would be too much
    if options.output is not None:
        target = user_path(options.output, "--output")
        write_json(target, {**metrics, **_of_a_model(target)})
    sys.stdout.write("\n".join([format_comparison(columns), *notes]) + "\n")
    if retrained is not None and not _compared(metrics):
        sys.stdout.write(
            "note: no forget quality, which needs perturbed answers of the set forget from both models, and no "
            "PrivLeak against the retrained one, which needs token losses of muse_privleak_forget and "
            "muse_privleak_holdout\n"
        )
    if options.output is not None:
        sys.stdout.write(f"Written to {options.output}\n")


def _of_a_model(target: Path) -> dict[str, Any]:
    """What stands in the file to be replaced and cannot be had from records: general abilities.

    Raises:
        InputError: the file is there and is no `metrics.json`.
    """
    if not target.exists():
        return {}
    abilities = read_metrics(target).get("lm_eval")
    return {} if abilities is None else {"lm_eval": abilities}


def _compared(metrics: dict[str, Any]) -> bool:
    return "forget_quality" in metrics or metrics.get("privleak_retrained", {}).get("source") == "records"
