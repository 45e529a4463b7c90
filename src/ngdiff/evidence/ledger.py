"""The ledger: all requests that led to an output, with the outcome and the latest re-test of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.chain import Request, Retest, earlier_requests, request_of, retested
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.table import columns
from ngdiff.exit_codes import REQUEST_CAME_BACK
from ngdiff.file_names import MANIFEST
from ngdiff.paths import full_path
from ngdiff.scoring.quantities import shown


@dataclass(frozen=True)
class Entry:
    """A request and its latest re-test; None for the last request.

    `ruined`: whether its run ended with a ruined model.
    """

    request: Request
    retest: Retest | None
    ruined: bool = False


def read_ledger(folder: Path) -> list[Entry]:
    """The history of an output, the earliest request first.

    Raises:
        InputError: `folder` has no unlearning run, or its manifest was changed.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} contains no {MANIFEST} of a run of ngdiff")
    manifest, fault = read_sealed(folder / MANIFEST)
    if fault:
        raise InputError(f"{folder / MANIFEST}: {fault}")
    if "forget" not in manifest["data"] or manifest["extra"].get("finished") is False:
        raise InputError(f"{folder}: {MANIFEST} is not of a finished unlearning run")
    again = read_retests(manifest["extra"])
    ruined = bool(manifest["extra"].get("ruined"))
    why = "the model of the last run is ruined" if ruined else "the last run did not"
    entries = [Entry(one, _taken(one, again) or retested(one, None, why)) for one in earlier_requests(manifest)]
    return [*entries, Entry(request_of(str(full_path(folder)), manifest), None, ruined)]


def _taken(request: Request, again: list[Retest]) -> Retest | None:
    """The re-test of a request, taken out of `again`. Requests of one place, whose folder's name was used again, have
    their re-tests in their own order."""
    found = next((one for one in again if one.place == request.place), None)
    if found is not None:
        again.remove(found)
    return found


def read_retests(extra: Mapping[str, Any]) -> list[Retest]:
    """The re-tests in a manifest, under `extra`."""
    return [Retest(**one) for one in extra.get("earlier_requests", ())]


def ledger_table(entries: Sequence[Entry]) -> str:
    """A line for each request: its rows, losses and state."""
    rows = [["", "ended", "output", "rows", "forget set", "before", "after", "now", "state"]]
    for number, entry in enumerate(entries, start=1):
        request, retest = entry.request, entry.retest
        state = "the last one" + ("; ruined" if entry.ruined else "") if retest is None else _state(retest)
        now = request.after if retest is None else retest.now
        source = str(request.forget.get("source", "in memory"))
        losses = [shown(value) for value in (request.before, request.after, now)]
        rows.append([str(number), request.utc, request.place, str(request.forget["rows"]), source, *losses, state])
    return columns(rows)


def retest_table(retests: Sequence[Retest]) -> str:
    """A line for each earlier request; empty without any."""
    if not retests:
        return ""
    rows = [["earlier request", "before", "after", "now", "least", "state"]]
    for one in retests:
        losses = [shown(value) for value in (one.before, one.after, one.now, one.threshold)]
        rows.append([one.place, *losses, _state(one)])
    return columns(rows)


def refuse_came_back(retests: Sequence[Retest], where: object) -> None:
    """Fail, after all outputs are written, if an earlier request came back.

    Raises:
        VerdictError: an earlier request came back.
    """
    back = [one for one in retests if one.state == "came back"]
    if back:
        first = back[0]
        raise VerdictError(
            f"{len(back)} of {len(retests)} earlier requests came back in {where}, first that of {first.place}: the "
            f"loss of its rows is {shown(first.now)}; it was {shown(first.after)} at the end of its own run and "
            f"{shown(first.before)} before ({first.why}). The model is kept; forget those rows again with the new ones",
            REQUEST_CAME_BACK,
        )


def _state(retest: Retest) -> str:
    return f"{retest.state}: {retest.why}" if retest.why else retest.state
