"""What a page has compared with hashes before it says anything of a model."""

from typing import NamedTuple

from ngdiff.evidence.read_run import damaged_outputs
from ngdiff.report.folders import Evaluation, Run, are_of_one_model


class Check(NamedTuple):
    """Something that must be so. `holds`: None where it cannot be told."""

    what: str
    holds: bool | None
    detail: str = ""

    @property
    def verdict(self) -> str:
        """In a word, so that nothing depends on a colour."""
        return {True: "holds", False: "does not hold", None: "not known"}[self.holds]


def checks(run: Run, evaluation: Evaluation) -> list[Check]:
    """The run's own record, its files, the model evaluated, the rows evaluated, the template."""
    found = [Check("The record of the run is as it was written (its own SHA-256).", True)]
    outputs = run.manifest["outputs"]
    wrong = damaged_outputs(run.folder, run.manifest)
    if outputs:
        found.append(Check("The files of the run are as it wrote them.", not wrong, "; ".join(wrong)))
    same = are_of_one_model(run, evaluation)
    found.append(Check("The weights evaluated are those that the run wrote.", same))
    for role in ("forget", "retain"):
        asked, measured = (one.manifest.get("data", {}).get(role) for one in (run, evaluation))
        if asked is None:
            continue
        what = f"The {role} rows evaluated are those of the request."
        if measured is None:
            found.append(Check(what, None, "the evaluation does not say"))
            continue
        alike = asked["rows_sha256"] == measured["rows_sha256"]
        detail = (
            "" if alike else f"{measured['rows']} rows were evaluated, {asked['rows']} were asked for; another hash"
        )
        found.append(Check(what, alike, detail))
    if evaluation.manifest and run.manifest["template"] is not None:
        own, other = run.manifest["template"], evaluation.manifest["template"]
        detail = "" if own == other else f"{other} in place of {own}"
        found.append(Check("The model was asked by the template of the run.", own == other, detail))
    return found
