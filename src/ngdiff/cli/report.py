"""`ngdiff report`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ngdiff import __version__
from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError, named
from ngdiff.evidence.inputs import files_read
from ngdiff.file_names import MANIFEST
from ngdiff.option import check_choice
from ngdiff.paths import user_path
from ngdiff.report.audit_results import read_audit
from ngdiff.report.compared_models import check_compared
from ngdiff.report.comparison import comparison
from ngdiff.report.entries import is_comparison, read_entries
from ngdiff.report.folders import Evaluation, Run, read_evaluation, read_subject
from ngdiff.report.page import FORMATS, page
from ngdiff.report.request import request
from ngdiff.report.scores import Others
from ngdiff.scoring.runs import name_and_place, sweep_file
from ngdiff.writing import write_text


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
    audit: str | None = option(
        None, help="audit of the run's model (the one in its folder, or beside it, of the same weights)", value="AUDIT"
    )
    reference: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None,
        help="of a comparison: name of a run that never saw the forget set, the mark; may be repeated",
        value="NAME",
    )
    include_texts: bool = option(
        False, help="with prompts and answers of all rows, from the private records: whoever has the page can read them"
    )


PARSER = CommandParser(
    "report",
    "One page to hand over. Of one RUN, a request to forget: what was asked, which model went in and came out, what is "
    "left of what was to be forgotten, what it cost, and what that does not prove. Of several, or of a sweep, a "
    "comparison: tables, what forgetting cost, curves. RUN is the folder of ngdiff unlearn, evaluate, demo or sweep; "
    "NAME=RUN names it.",
    {"report": ReportOptions},
    required=("output",),
    words="run",
    repeated=("reference",),
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
    made = _comparison if is_comparison(values["run"]) else _request
    write_text(target, made(values["run"], options, form), private=options.include_texts)
    sys.stdout.write(f"Written to {options.output}\n")


def _request(words: list[str], options: ReportOptions, form: str) -> str:
    """The page of one run."""
    if options.reference:
        raise InputError(f"--reference {options.reference[0]} is for a comparison; of one run give --retrained RUN")
    subject = read_subject(words[0], options.scores)
    others = _others(options, before=subject.before, retrained=subject.retrained)
    given = {role: (str(one.folder), one.manifest.get("model", {})) for role, one in others.given().items()}
    check_compared(subject.evaluation.manifest.get("model", {}), subject.run, given)
    audit = None if options.audit is None else read_audit(options.audit)
    _keep_inputs(words, options, others, [subject.evaluation], [subject.run], [] if audit is None else [audit.file])
    own = request(subject, others, audit=audit, include_texts=options.include_texts)
    return page("request", form, own=own)


def _comparison(words: list[str], options: ReportOptions, form: str) -> str:
    """The page of several runs."""
    if options.scores is not None:
        raise InputError(
            f"--scores {options.scores} is for one run; in a comparison name each evaluation itself, NAME=EVALUATION"
        )
    if options.audit is not None:
        raise InputError(f"--audit {options.audit} is for one run; ngdiff score --audit takes its Robustness")
    if options.include_texts:
        raise InputError("--include-texts is for one run; a comparison shows no texts")
    others = _others(options)
    entries, notes = read_entries(words, others, options.reference or ())
    _keep_inputs(words, options, others, [entry.evaluation for entry in entries], [entry.run for entry in entries])
    return page("comparison", form, own=comparison(entries, notes), version=__version__)


def _keep_inputs(
    words: list[str],
    options: ReportOptions,
    others: Others,
    evaluations: list[Evaluation | None],
    runs: list[Run | None],
    more: Sequence[Path] = (),
) -> None:
    """Refuse a page that would replace one of its inputs."""
    sweeps = [sweep_file(name_and_place(word)[1]) for word in words]
    read = [*more, *(file for file in sweeps if file is not None)]
    read += [one.file for one in (*evaluations, *others.given().values()) if one is not None]
    read += [file for one in runs if one is not None for file in files_read(one.folder / MANIFEST)]
    check_output_file(options.output, overwrite=options.overwrite, inputs=read)


def _others(options: ReportOptions, **usual: Path | None) -> Others:
    """The evaluations that runs are compared with: those given, else those that belong to a run."""
    found: dict[str, Evaluation | None] = {}
    for role in ("before", "retrained", "base"):
        given = getattr(options, role)
        place = given or usual.get(role)
        with named(f"--{role}" if given else ""):
            found[role] = None if place is None else read_evaluation(place)
    return Others(**found)


def _form(options: ReportOptions) -> str:
    form = options.format or FORMATS.get(Path(options.output).suffix.lower())
    if form is None:
        raise InputError(
            f"--output {options.output}: the suffix says no format; one of {', '.join(FORMATS)}, or --format"
        )
    if form == "latex":
        raise InputError("--format latex: the table of a paper is ngdiff compare --format latex")
    check_choice("--format", form, sorted(set(FORMATS.values())))
    return form
