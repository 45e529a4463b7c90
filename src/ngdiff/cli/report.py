"""`ngdiff report`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.evidence.inputs import files_read
from ngdiff.files import MANIFEST, write_text
from ngdiff.paths import user_path
from ngdiff.report.folders import read_evaluation, read_subject
from ngdiff.report.page import FORMATS, page
from ngdiff.report.request import request
from ngdiff.report.scores import Others


@dataclass
class ReportOptions:
    """What the page is compared with, and where it goes."""

    output: str = option(help="the page: FILE.html, which loads nothing, or FILE.md", value="FILE")
    overwrite: bool = option(False, help="replace that file")
    format: str | None = option(None, help="html or markdown (by the suffix of --output)", value="FORMAT")
    scores: str | None = option(
        None, help="evaluation of the run (one in its folder, or beside it, of the same weights)", value="RUN"
    )
    before: str | None = option(
        None, help="evaluation of the model before unlearning: its numbers, and the unit of D", value="RUN"
    )
    retrained: str | None = option(
        None, help="evaluation of a model that never saw the forget set: its numbers, and D", value="RUN"
    )
    base: str | None = option(
        None,
        help="evaluation of a model that saw neither forget nor holdout set: for D against holdout rows",
        value="RUN",
    )
    include_texts: bool = option(
        False, help="with prompts and answers of all rows, from the private records: whoever has the page can read them"
    )


PARSER = CommandParser(
    "report",
    "One page to hand over: what was asked, which model went in and came out, what is left of what was to be "
    "forgotten, what it cost, and what that does not prove. RUN is the folder of ngdiff unlearn, "
    "ngdiff evaluate or ngdiff demo.",
    {"report": ReportOptions},
    required=("output",),
    words="run",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, runs or evaluations that cannot be used.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: ReportOptions = PARSER.build(ReportOptions, values)
    target, form = user_path(options.output, "--output"), _form(options)
    check_output_file(options.output, overwrite=options.overwrite)
    if len(values["run"]) > 1:
        raise InputError(f"ngdiff report makes a page on one run, and {len(values['run'])} were given")
    subject = read_subject(values["run"][0], options.scores)
    places: dict[str, str | Path | None] = {
        "before": options.before or subject.before,
        "retrained": options.retrained or subject.retrained,
        "base": options.base,
    }
    others = Others(**{role: None if place is None else read_evaluation(place) for role, place in places.items()})
    read = [subject.evaluation.file, *(one.file for one in others.given().values())]
    read += [] if subject.run is None else files_read(subject.run.folder / MANIFEST)
    check_output_file(options.output, overwrite=options.overwrite, inputs=read)
    own = request(subject, others, include_texts=options.include_texts)
    write_text(target, page("request", form, own=own))
    sys.stdout.write(f"Written to {options.output}\n")


def _form(options: ReportOptions) -> str:
    known = sorted(set(FORMATS.values()))
    form = options.format or FORMATS.get(Path(options.output).suffix.lower())
    if form is None:
        raise InputError(
            f"--output {options.output}: the suffix says no format; one of {', '.join(FORMATS)}, or --format"
        )
    if form not in known:
        raise InputError(f"--format {form} is not known; one of {', '.join(known)}")
    return form
