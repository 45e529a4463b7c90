"""`--require`: bounds that are set before anything is measured."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ngdiff.cli.parsing import option
from ngdiff.errors import InputError, named
from ngdiff.evidence.requirements import (
    LOSSES,
    Requirement,
    Verdict,
    judge,
    numbers_of_metrics,
    parse_requirements,
    set_of,
)
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.verdicts import read_verdicts, refuse_unmet, verdict_table
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path
from ngdiff.report.compared_models import check_compared, model_of, writer_of
from ngdiff.scoring import read_runs
from ngdiff.scoring.runs import metrics_file, name_and_place


@dataclass
class RequireOptions:
    """Requirements for the result, set before the run."""

    require: str | None = option(
        None,
        help='bounds, such as "forget.loss>=2, retain.loss<=1.1*before, utility>=0.98*before": written to the manifest '
        "before the run, judged at its end; exit code 5 where one is not met",
        value="BOUNDS",
    )


@dataclass
class JudgeOptions(RequireOptions):
    """The same, of an evaluation."""

    before: str | None = option(
        None, help="evaluation of the model before unlearning, for bounds with `before`", value="RUN"
    )


class Judge:
    """Judges an evaluation by its own requirements, and by those of the run that made its model.

    Args:
        options: With `require` and `before`.
        carriers: Folders whose manifests may hold requirements: of the run that made the model, or of an evaluation.

    Raises:
        InputError: requirements that cannot be read, or that need `--before`.
    """

    def __init__(self, options: Any, *carriers: str | Path) -> None:
        own = parse_requirements(options.require)
        if options.before is None and (one := next((one for one in own if one.factor is not None), None)) is not None:
            raise InputError(f"--require {one.text} needs --before RUN: an evaluation of the model before unlearning")
        texts = {one.text: one for one in own}
        self._rows: dict[str, dict[str, str]] = {}  # of the run that required it, by set
        self._open: set[str] = set()
        for folder in carriers:
            found, rows = _carried(user_path(folder))
            texts |= {one.text: one for one in found}
            self._rows |= {one.text: rows for one in found if one not in own}
        self.requirements = list(texts.values())

    def refuse_idle_before(self, before: str | None) -> None:
        """Check that there is a bound for which the values before are needed.

        Args:
            before: The word of `--before`.

        Raises:
            InputError: it is given, and no bound compares with it.
        """
        if before is not None and all(one.factor is None for one in self.requirements):
            raise InputError(
                f"--before {before} changes nothing: neither --require nor the run that made the model leaves a bound "
                "with `before` to be judged; ngdiff score and ngdiff report compare with a model before unlearning"
            )

    def leave_open(self, hashes: Mapping[str, str]) -> None:
        """Leave open what the run that made the model required, if other rows are measured now.

        Args:
            hashes: Of the rows of each set.
        """
        for one in self.requirements:
            rows = self._rows.get(one.text, {})
            of = set_of(one)
            names = [of] if of in rows else list(rows)
            if any(name in hashes and hashes[name] != rows[name] for name in names):
                self._open.add(one.text)

    def refuse_other_rows(self, names: Collection[str]) -> None:
        """Check that bounds with `before` refer to the same rows.

        Args:
            names: Sets of which `--before` has other rows.

        Raises:
            InputError: such a bound is on a number of one of them.
        """
        for one in self.requirements if names else []:
            of = set_of(one)
            if one.factor is not None and (of in names or of == "model_utility"):
                raise InputError(
                    f"{one.text}: --before is of other rows of {of if of in names else ', '.join(names)}, whose "
                    "numbers do not compare; evaluate the model before unlearning on the same rows"
                )

    def verdicts(self, metrics: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Verdict]:
        """Judge the numbers of `metrics.json`, and those before: a requirement without a measured number is not met."""
        earlier = None if before is None else numbers_of_metrics(before)
        found = judge(self.requirements, numbers_of_metrics(metrics), earlier, must_be_measured=True)
        return [replace(one, met=None) if one.require in self._open else one for one in found]


def texts_of(requirements: list[Requirement]) -> dict[str, Any]:
    """For the manifest, before the run; nothing where nothing is required."""
    return {"requirements": [one.text for one in requirements]} if requirements else {}


def judge_losses(
    requirements: list[Requirement], before: Mapping[str, float], after: Mapping[str, float]
) -> list[Verdict]:
    """Requirements that an unlearning run can judge itself; the rest is left open.

    Args:
        before, after: Losses by set.
    """
    values = {f"{role}.loss": value for role, value in after.items()}
    earlier = {f"{role}.loss": value for role, value in before.items()}
    return judge(requirements, values, earlier, must_be_measured=False)


def left_to_compare(require: str | None) -> bool:
    """Whether an unlearning run with these bounds leaves one on a value before unlearning to its evaluation."""
    return any(one.factor is not None and one.quantity not in LOSSES for one in parse_requirements(require))


def tell(verdicts: list[Verdict], where: object) -> None:
    """Print the table.

    Raises:
        VerdictError: one of the requirements is not met.
    """
    sys.stdout.write(verdict_table(verdicts))
    refuse_unmet(verdicts, where)


def _carried(folder: Path) -> tuple[list[Requirement], dict[str, str]]:
    """Requirements in the manifest of a folder, without the losses that its run has judged itself, and hashes of the
    rows of a run by set."""
    path = folder / MANIFEST
    if not path.is_file():
        return [], {}
    manifest, fault = read_sealed(path)
    if fault:
        if "requirements" in path.read_text(encoding="utf-8", errors="replace"):
            raise InputError(f"{path}: {fault}; what it requires cannot be trusted: see ngdiff verify {folder}")
        return [], {}
    found = [one for text in manifest["extra"].get("requirements", ()) for one in parse_requirements(text, str(path))]
    told = {one.require: one.met for one in read_verdicts(manifest["extra"])}
    if "losses_after" not in manifest["extra"]:  # an evaluation has judged the same numbers that are judged now
        return [one for one in found if one.text not in told or told[one.text] is not None], {}
    rows = {name: described["rows_sha256"] for name, described in manifest["data"].items()}
    return [one for one in found if told.get(one.text) is None or one.quantity not in LOSSES], rows


def rows_before(word: str | None) -> dict[str, Any]:
    """Rows in the manifest of `--before`, by set; empty if there is none."""
    if word is None:
        return {}
    content, fault = read_sealed(metrics_file(name_and_place(word)[1]).parent / MANIFEST)
    return {} if fault else dict(content["data"])


def check_before(word: str, model: Mapping[str, Any]) -> None:
    """Refuse an evaluation of the model itself as that of the model before: every bound by it would be met.

    Args:
        word: Of `--before`.
        model: What is evaluated, as a manifest describes it.

    Raises:
        InputError: their weights are the same.
    """
    then = model_of(metrics_file(name_and_place(word)[1]))
    check_compared(model, writer_of(model), {"before": (word, then)})


def metrics_before(word: str | None) -> dict[str, Any] | None:
    """The numbers of `--before`; None where it was not given.

    Raises:
        InputError: no evaluation is there, or several.
    """
    if word is None:
        return None
    with named("--before"):
        runs = read_runs([word])
    if len(runs) != 1:
        raise InputError(f"--before {word} holds {len(runs)} evaluations; give the folder of one")
    return next(iter(runs.values()))
