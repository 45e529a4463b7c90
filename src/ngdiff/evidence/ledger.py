"""The ledger: all requests that led to an output, how each ended, and what became of it since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.chain import Request, Retest, earlier_requests, request_of
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.table import columns
from ngdiff.exit_codes import REQUEST_CAME_BACK
from ngdiff.files import MANIFEST
from ngdiff.scoring.quantities import shown


@dataclass(frozen=True)
class Entry:
    """A request, and the last time that it was taken again; None for the last one, which has just ended."""

    request: Request
    retest: Retest | None


def read_ledger(folder: Path) -> list[Entry]:
    """The history of an output, the first request first.

    Raises:
        InputError: no unlearning run is there, or its manifest is not as it was written.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no {MANIFEST} of a run of ngdiff")
    manifest, fault = read_sealed(folder / MANIFEST)
    if fault:
        raise InputError(f"{folder / MANIFEST}: {fault}")
    if "forget" not in manifest["data"] or manifest["extra"].get("finished") is False:
        raise InputError(f"{folder}: {MANIFEST} is not of a run that unlearned and ended")
    again = {one.place: one for one in read_retests(manifest["extra"])}
    entries = [Entry(one, again.get(one.place)) for one in earlier_requests(manifest)]
    return [*entries, Entry(request_of(str(folder.absolute()), manifest), None)]


def read_retests(extra: Mapping[str, Any]) -> list[Retest]:
    """Those that a manifest holds under `extra`."""
    return [Retest(**one) for one in extra.get("earlier_requests", ())]


def ledger_table(entries: Sequence[Entry]) -> str:
    """A line for each request: its rows, its losses, and what became of it."""
    rows = [["", "ended", "output", "rows", "forget set", "before", "after", "now", "state"]]
    for number, entry in enumerate(entries, start=1):
        request, retest = entry.request, entry.retest
        state = "the last one" if retest is None else _state(retest)
        now = request.after if retest is None else retest.now
        source = str(request.forget.get("source", "in memory"))
        losses = [shown(value) for value in (request.before, request.after, now)]
        rows.append([str(number), request.utc, request.place, str(request.forget["rows"]), source, *losses, state])
    return columns(rows)


def retest_table(retests: Sequence[Retest]) -> str:
    """A line for each earlier request; nothing for none."""
    if not retests:
        return ""
    rows = [["earlier request", "before", "after", "now", "least", "state"]]
    for one in retests:
        losses = [shown(value) for value in (one.before, one.after, one.now, one.threshold)]
        rows.append([one.place, *losses, _state(one)])
    return columns(rows)


def refuse_came_back(retests: Sequence[Retest], where: object) -> None:
    """End a command that has done all it was to do.

    Raises:
        VerdictError: an earlier request came back.
    """
    back = [one for one in retests if one.state == "came back"]
    if back:
        first = back[0]
        raise VerdictError(
            f"{len(back)} of {len(retests)} earlier requests came back in {where}, first that of {first.place}: the "
            f"loss of its rows is {shown(first.now)}, it was {shown(first.after)} at the end of its own run and "
            f"{shown(first.before)} before ({first.why}). The model is kept; forget those rows again with the new ones",
            REQUEST_CAME_BACK,
        )


def _state(retest: Retest) -> str:
    return f"{retest.state}: {retest.why}" if retest.why else retest.state
