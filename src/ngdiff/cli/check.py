"""`ngdiff check`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ngdiff.checking.findings import Finding, counted, findings_table
from ngdiff.checking.known import check_holdout, check_known
from ngdiff.checking.rows import check_lengths, check_sets, check_steps, rows_for_the_model
from ngdiff.cli.loading import load_torch, loaded_model
from ngdiff.cli.options import RowSets, check_models, read_sets
from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.data import Row, Template
from ngdiff.data.near import NEAR
from ngdiff.data.step_rows import most_rows_of_a_step
from ngdiff.errors import InputError, VerdictError
from ngdiff.exit_codes import CHECK_FAILED
from ngdiff.paths import user_path
from ngdiff.plurals import number_of
from ngdiff.ranges import COUNT, Range
from ngdiff.writing import write_json

_ALIKE = Range(0, 1, without_least=True)


@dataclass
class RowOptions(RowSets):
    """Rows and their template."""

    base_model: str | None = option(
        None,
        help="with --holdout: the model before fine-tuning; tells whether the holdout is of the same kind",
        value="DIR_OR_NAME",
    )
    template: str = option("auto", help="how a question is put: auto, plain, chat, or a text, as for ngdiff unlearn")
    max_length: int | None = option(
        None, help="longest row in tokens (the model's context)", accepted=Range(2, COUNT.largest)
    )
    near: float = option(NEAR, help="part of the words' pieces that near-duplicates share", accepted=_ALIKE)


@dataclass
class RunOptions:
    """Settings of the planned run, and the output of the findings."""

    num_train_epochs: float = option(
        15.0, help="passes over the forget set", accepted=Range(0, 1e6, without_least=True)
    )
    per_device_train_batch_size: int = option(8, help="rows of a step on one device, of each side", accepted=COUNT)
    gradient_accumulation_steps: int = option(1, help="micro-batches of a step", accepted=COUNT)
    json: str | None = option(None, help="file for the findings as JSON", value="FILE")
    overwrite: bool = option(False, help="replace that file")


@dataclass
class CheckOptions(TextModelOptions, RowOptions, RunOptions):
    """All of them."""


PARSER = CommandParser(
    "check",
    "Before ngdiff unlearn: does the model know the rows, are the sets disjoint, are the rows short enough for the "
    "model, and are there enough? Exit code 7 if something would spoil the run. Shows no texts of the rows.",
    {"model": TextModelOptions, "rows": RowOptions, "run": RunOptions},
    refused={"task": "ngdiff check is for language models and their rows alone, and has no --task"},
    required=("model", "forget", "retain"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, rows or models that cannot be used.
        VerdictError: something would spoil the run.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: CheckOptions = PARSER.build(CheckOptions, values)
    if options.json is not None:
        named = (options.model, options.base_model, options.forget, options.retain, options.holdout)
        inputs = [name for name in named if name is not None]
        check_output_file(options.json, option="--json", overwrite=options.overwrite, inputs=inputs)
    findings = check(options)
    if options.json is not None:
        write_json(user_path(options.json, "--json"), [asdict(one) for one in findings])
    sys.stdout.write(findings_table(findings))
    spoils, doubtful = counted(findings, "spoils"), counted(findings, "doubtful")
    if spoils:
        worst = next(one for one in findings if one.severity == "spoils")
        raise VerdictError(
            f"{number_of(spoils, 'finding')} would spoil the run, first {worst.what}: {worst.found}", CHECK_FAILED
        )
    skipped = counted(findings, "skipped")
    rest = f"; skipped: {skipped}" if skipped else ""
    sys.stdout.write(
        f"Nothing would spoil the run; doubtful: {doubtful} of {number_of(len(findings) - skipped, 'finding')}{rest}.\n"
    )


def check(options: CheckOptions) -> list[Finding]:
    """All findings.

    Raises:
        InputError: rows or models that cannot be used, or a base model without holdout rows.
    """
    if options.base_model is not None and options.holdout is None:
        raise InputError(
            f"--base-model {options.base_model} changes nothing without --holdout FILE: it tells whether the holdout "
            "is of the same kind as the forget rows"
        )
    check_models(options.model, base_model=options.base_model)
    sets: dict[str, list[Row]] = read_sets(options)
    load_torch()

    from ngdiff.evaluation.context import row_limit
    from ngdiff.modeling import check_same_tokens

    tokenizer = options.tokenizer_of(options.model)
    template = options.template_for(options.template, tokenizer, [row for rows in sets.values() for row in rows])
    if options.base_model is not None:
        check_same_tokens(tokenizer, options.base_model, trust_remote_code=options.trust_remote_code)
    findings = check_sets(sets, tokenizer, template, threshold=options.near)
    rows_per_step = options.per_device_train_batch_size * options.gradient_accumulation_steps
    model = loaded_model(options.model, options)
    max_length = row_limit(model, options.max_length)
    rows, kept = rows_for_the_model(sets["forget"], tokenizer, template, max_length=max_length), len(sets["retain"])
    if rows_per_step > most_rows_of_a_step(rows, kept):  # how many are split takes time to know
        kept = rows_for_the_model(sets["retain"], tokenizer, template, max_length=max_length)
    findings.append(check_steps(rows, kept, rows_per_step=rows_per_step, epochs=options.num_train_epochs))
    findings += check_lengths(sets, tokenizer, template, max_length=max_length)
    result = _evaluated(model, tokenizer, sets, template, options)
    findings += check_known(result.scores, result.records)
    if "holdout" in sets:
        del model  # two models may not fit into memory at once
        base = None
        if options.base_model is not None:
            apart = {name: sets[name] for name in ("forget", "holdout")}
            base = _evaluated(loaded_model(options.base_model, options), tokenizer, apart, template, options).scores
        findings += check_holdout(result.scores, base)
    return findings


def _evaluated(
    model: Any, tokenizer: Any, sets: Mapping[str, Sequence[Row]], template: Template, options: CheckOptions
) -> Any:
    """Scores without generated answers; of a large retain set, only some evenly spaced rows."""
    from ngdiff.evaluation import evaluate
    from ngdiff.training.spread import SAMPLE_ROWS, spread

    few = {
        name: [rows[i] for i in spread(len(rows), SAMPLE_ROWS)] if name == "retain" else rows
        for name, rows in sets.items()
    }
    return evaluate(model, tokenizer, few, template, max_length=options.max_length, generate=False)
