"""`ngdiff compare`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.option import check_choice
from ngdiff.paths import user_path
from ngdiff.report.compared_models import check_references
from ngdiff.scoring import FORMATS, Comparison, compare, compare_groups, files_of, read_runs, references_in, sequences
from ngdiff.writing import write_text


@dataclass
class CompareOptions:
    """Contents and form of the table."""

    format: str = option("text", help=f"form of the table: {', '.join(FORMATS)}")
    output: str | None = option(None, help="file for the table; none: it is printed", value="FILE")
    overwrite: bool = option(False, help="replace these files")
    metrics: str | None = option(
        None,
        help="columns, separated by commas, such as utility,forget.loss; all: every number (Verbmem, extraction "
        "strength, D, Utility, collateral, then the metrics of tables in the literature)",
        value="KEYS",
    )
    reference: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None,
        help="name of a run that never saw the forget set: the target, never best itself; may be repeated",
        value="NAME",
    )
    group: bool = option(
        False, help="one row for runs whose names differ only by their seed: mean, t-interval, number of runs"
    )
    figure: str | None = option(
        None,
        help="PNG of the same numbers over K, of runs named METHOD@K: scalability, sustainability",
        value="FILE",
    )


PARSER = CommandParser(
    "compare",
    "Put several evaluations into one table, a row for each: folders with metrics.json, or NAME=FOLDER; the "
    "folder of a sweep stands for all of its runs. Arrows say "
    "which direction is better; the best value of each column is bold, in text it has a *. For forget sets, that is "
    "the nearest to --reference, a retrained model. D, if ngdiff score added it, is the distance from a model that "
    "never saw the rows: 1 before unlearning, 0 as if never seen. Do not rely on Verbmem alone: a model that answers "
    '"I do not know" may still know everything, which extraction strength shows.',
    {"table": CompareOptions},
    required=(),
    words="run",
    repeated=("reference",),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options or runs that cannot be used.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: CompareOptions = PARSER.build(CompareOptions, values)
    check_choice("--format", options.format, FORMATS)
    for name in ("output", "figure"):
        if getattr(options, name) is not None:
            check_output_file(
                getattr(options, name),
                option=f"--{name}",
                overwrite=options.overwrite,
                inputs=files_of(values["run"]),
            )
    keys = None if options.metrics is None else [key.strip() for key in options.metrics.split(",") if key.strip()]
    table = table_of(values["run"], metrics=keys, references=options.reference, group=options.group)
    text = FORMATS[options.format](table)
    if options.figure is not None:
        from ngdiff.report import plot_sequence  # matplotlib takes a while

        plot_sequence(sequences(table), user_path(options.figure, "--figure"), label="K")
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(user_path(options.output, "--output"), text)
        sys.stdout.write(f"Written to {options.output}\n")


def table_of(
    words: Sequence[str], *, metrics: Sequence[str] | None, references: Sequence[str] | None, group: bool
) -> Comparison:
    """The table of the command.

    Args:
        words: `FOLDER` or `NAME=FOLDER`, as of `ngdiff.scoring.read_runs`.
        metrics: Keys of its columns; without any, those of `ngdiff.scoring.compare`.
        references: Names of models that never saw the rows to forget; without any, those of the sweeps among `words`.
        group: One row for runs that differ by their seed.

    Raises:
        InputError: runs that cannot be used, or a reference that is one of those compared.
    """
    runs, marks = read_runs(words), references or references_in(words)
    check_references(words, marks, grouped=group)
    return (compare_groups if group else compare)(runs, metrics=metrics or None, references=marks)
