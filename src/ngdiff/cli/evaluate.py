"""`ngdiff evaluate`."""

import sys
from dataclasses import dataclass
from typing import Any

from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import ModelOptions, SetOptions, read_sets, resolved
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.data import resolve_template
from ngdiff.errors import InputError
from ngdiff.evaluation import evaluate, format_table, write_evaluation
from ngdiff.evaluation.context import row_limit
from ngdiff.files import check_output, prepare_output
from ngdiff.manifest import describe_data, describe_model, write_manifest
from ngdiff.modeling import load_model, load_tokenizer


@dataclass
class EvaluateOptions:
    """How to evaluate, and where results go."""

    output: str | None = option(
        None,
        help="folder for metrics.json and the records, which hold texts; none: the table alone",
        value="DIR",
    )
    overwrite: bool = option(False, help="replace what an earlier evaluation wrote there")
    template: str = option(
        "auto", help="how a question is put: auto, plain, chat, or a text with {question} and {answer}"
    )
    max_length: int | None = option(None, help="longest row in tokens (the model's context, at most 1024)")
    max_new_tokens: int | None = option(
        None, help="longest generated answer in tokens (the longest reference answer of each set)"
    )
    tokens_per_batch: int = option(4096, help="tokens of a batch, padding included")


@dataclass
class AllOptions(ModelOptions, SetOptions, EvaluateOptions):
    """All of them."""


PARSER = CommandParser(
    "evaluate",
    "Measure what a model knows: Verbmem (ROUGE-L recall on the forget set), Utility (the same on the retain set), "
    "probabilities, losses, and truth ratios where the rows hold perturbed answers.",
    {"model": ModelOptions, "data": SetOptions, "evaluation": EvaluateOptions},
    required=("model", "forget", "retain"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, rows or model that cannot be used; before any long work.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: AllOptions = PARSER.build(AllOptions, values)
    for name in ("max_new_tokens", "tokens_per_batch"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise InputError(f"--{name.replace('_', '-')} {number} is not 1 or more")
    sets = read_sets(options)
    tokenizer = load_tokenizer(options.model, trust_remote_code=options.trust_remote_code)
    template = resolve_template(options.template, tokenizer, [row for rows in sets.values() for row in rows])
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resumable": False,
        "inputs": inputs_of(options.model, options.forget, options.retain, options.holdout),
    }
    if options.output is not None:
        check_output(options.output, **where)
    model = load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    result = evaluate(
        model,
        tokenizer,
        sets,
        template,
        max_length=row_limit(model, options.max_length),
        max_new_tokens=options.max_new_tokens,
        tokens_per_batch=options.tokens_per_batch,
    )
    if options.output is not None:
        output = prepare_output(options.output, **where)
        write_manifest(
            output,
            command=["ngdiff", "evaluate", *words],
            config=resolved(options),
            data={role: describe_data(getattr(options, role), rows) for role, rows in sets.items()},
            model=describe_model(options.model),
            template=template.name,
            seed=0,  # greedy generation draws nothing
        )
        write_evaluation(result, output)
    sys.stdout.write(format_table(result.metrics) + "\n")
    if options.output is not None:
        sys.stdout.write(f"Written to {options.output}\n")
