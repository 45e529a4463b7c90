"""Comparisons of hashes that a page makes before it reports on a model."""

from typing import NamedTuple

from ngdiff.evidence.signature import SIGNATURE
from ngdiff.evidence.verify import verify
from ngdiff.plurals import number_of
from ngdiff.report.audit_results import Audit
from ngdiff.report.folders import Evaluation, Run, are_of_one_model, weights


class Check(NamedTuple):
    """A condition that must hold.

    `holds`: None where it cannot be told. `grave`: where it does not hold, the page says so first.
    """

    what: str
    holds: bool | None
    detail: str = ""
    grave: bool = True

    @property
    def verdict(self) -> str:
        """The result as a word, so that nothing depends on a colour."""
        return {True: "holds", False: "does not hold", None: "not known"}[self.holds]


def checks(
    run: Run, evaluation: Evaluation, audit: Audit | None = None, before: Evaluation | None = None
) -> list[Check]:
    """The run's own record, what it wrote and read (`ngdiff verify`), the model and rows evaluated, the template; of an
    evaluation before, and of an audit, the same.

    What the run read may have changed since for good reasons, such as the deletion of the rows: that is not grave.
    """
    found = [Check("The record of the run is as it was written (its own SHA-256).", True)]
    for one in verify(run.folder) if run.manifest["outputs"] else ():
        holds = False if one.faults else None if one.note else True
        what = f"Unchanged since the run: {one.what}."
        found.append(Check(what, holds, "; ".join(one.faults) or one.note, grave=not one.was_read))
    if (signature := run.folder / SIGNATURE).is_file():
        what = f"The record is signed (Ed25519): {signature.read_bytes()[:64].hex()}."
        found.append(Check(what, None, f"not verified by this page: ngdiff verify {run.folder} --public-key KEY"))
    same = are_of_one_model(run, evaluation)
    found += [Check("The weights evaluated are those that the run wrote.", same), *_of_rows(run, evaluation, "")]
    if before is not None:
        # A merged adapter was read in place of the model from before its training.
        started = {} if run.command == "merge" else weights(run.manifest["model"].get("files", {}))
        measured = weights(before.manifest.get("model", {}).get("files", {}))
        same = started == measured if started and measured else None
        found.append(Check("The weights evaluated before are those that the run started from.", same))
        found += _of_rows(run, before, " before")
    if evaluation.manifest and run.manifest["template"] is not None:
        own, other = run.manifest["template"], evaluation.manifest["template"]
        detail = "" if own == other else f"{other} in place of {own}"
        found.append(Check("The model was asked by the template of the run.", own == other, detail))
    return found + ([] if audit is None else _of_audit(run, audit))


def _of_rows(run: Run, evaluation: Evaluation, when: str) -> list[Check]:
    found = []
    for role in ("forget", "retain"):
        asked, measured = (one.manifest.get("data", {}).get(role) for one in (run, evaluation))
        if asked is None:
            continue
        what = f"The {role} rows evaluated{when} are those of the request."
        if measured is None:
            found.append(Check(what, None, "the evaluation does not say"))
            continue
        alike = asked["rows_sha256"] == measured["rows_sha256"]
        evaluated = number_of(measured["rows"], "row")
        detail = "" if alike else f"evaluated: {evaluated}, asked for: {asked['rows']}; another hash"
        found.append(Check(what, alike, detail))
    return found


def _of_audit(run: Run, audit: Audit) -> list[Check]:
    written, attacked = weights(run.manifest["outputs"]), weights(audit.manifest.get("model", {}).get("files", {}))
    same = written == attacked if written and attacked else None
    own, other = (one.get("data", {}).get("forget", {}).get("rows_sha256") for one in (run.manifest, audit.manifest))
    return [
        Check("The weights attacked by the audit are those that the run wrote.", same),
        Check("The rows of the audit are those of the request.", own == other if own and other else None),
    ]
