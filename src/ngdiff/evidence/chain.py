"""Successive requests to forget: the rows and the outcome of each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ngdiff.errors import InputError
from ngdiff.evidence.requirements import OPERATORS, parse_requirements
from ngdiff.evidence.seal import SEAL, read_sealed
from ngdiff.evidence.verify import outputs_of
from ngdiff.file_names import MANIFEST
from ngdiff.paths import full_path

State = Literal["forgotten", "came back", "nothing was forgotten", "not taken again"]


@dataclass(frozen=True)
class Request:
    """An earlier request, from the manifest of its run.

    Attributes:
        place: Output folder of its run.
        sha256: Seal of its manifest.
        utc: When it ended.
        forget: What `describe_data` returned for its rows.
        template: Name of the template of its rows.
        max_length: Longest row in tokens; None for the model's own limit.
        before, after: Mean loss of all its forget rows at the beginning and the end of its own run, in nats per token.
        require: Requirements set before its run.
    """

    place: str
    sha256: str
    utc: str
    forget: Mapping[str, Any]
    template: str | None
    max_length: int | None
    before: float | None
    after: float | None
    require: tuple[str, ...] = ()

    @property
    def threshold(self) -> float | None:
        """Loss below which the rows count as remembered again: half-way between before and after its own run.

        None if that run did not raise the loss.
        """
        if self.before is None or self.after is None or self.after <= self.before:
            return None
        return (self.before + self.after) / 2


@dataclass(frozen=True)
class Retest:
    """The re-test of a request at the end of a later run.

    Attributes:
        place: Output folder of the request's own run.
        before, after: As in the `Request`.
        now: The same loss at the end of the later run; None if it was not measured.
        threshold: As in the `Request`.
        state: The conclusion.
        why: The reason for the state, if it needs one.
    """

    place: str
    before: float | None
    after: float | None
    now: float | None
    threshold: float | None
    state: State
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def retested(request: Request, now: float | None, why: str = "") -> Retest:
    """The conclusion from the current loss of an earlier request's rows.

    Args:
        now: In nats per token; None if it could not be measured.
        why: Why it could not.
    """

    def found(state: State, reason: str = "") -> Retest:
        return Retest(request.place, request.before, request.after, now, request.threshold, state, reason)

    if now is None:
        return found("not taken again", why)
    unmet = ""  # a bound that was not met cannot be lost
    for one in parse_requirements(",".join(request.require) or None, request.place):
        bound = one.bound(request.before)
        if one.quantity != "forget.loss" or bound is None or OPERATORS[one.sign](now, bound):
            continue
        if request.after is not None and OPERATORS[one.sign](request.after, bound):
            return found("came back", f"it required {one.text}")
        unmet = f"its own run did not meet {one.text}"
    if request.threshold is None:
        return found("nothing was forgotten", "its own run did not raise the loss")
    if not now >= request.threshold:  # NaN is no proof
        return found("came back", "more than half-way")
    return found("forgotten", unmet)


def read_chain(folder: Path, option: str = "--after") -> dict[str, Any]:
    """An entry for the manifest of a run that continues from `folder`: path and seal of that run, and all requests.

    Raises:
        InputError: `folder` has no unlearning run, or one that has not ended, is ruined, or was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{option} {folder}: contains no {MANIFEST} of an earlier run; without one, give --model")
    manifest, fault = read_sealed(path)
    if fault:
        raise InputError(f"{option} {folder}: {MANIFEST}: {fault}")
    extra = manifest["extra"]
    if "forget" not in manifest["data"] or "losses_after" not in extra:
        if extra.get("finished") is False:
            raise InputError(f"{option} {folder}: that run has not ended; continue with --resume first")
        raise InputError(f"{option} {folder}: {MANIFEST} is not of an unlearning run; without one, give --model")
    if extra.get("ruined"):
        raise InputError(f"{option} {folder}: the model of that run is ruined: {extra['ruined']}")
    if faults := outputs_of(folder, manifest).faults:
        raise InputError(f"{option} {folder}: {faults[0]}; see ngdiff verify {folder}")
    place = str(full_path(folder))
    requests = [*earlier_requests(manifest), request_of(place, manifest)]
    return {"place": place, SEAL: manifest[SEAL], "requests": [asdict(one) for one in requests]}


def earlier_requests(manifest: Mapping[str, Any]) -> list[Request]:
    """The requests before the manifest's own run, the earliest first."""
    found = (manifest.get("after") or {}).get("requests", ())
    return [Request(**{**one, "require": tuple(one["require"])}) for one in found]


def request_of(place: str, manifest: Mapping[str, Any]) -> Request:
    """The request of a manifest's own run."""
    extra = manifest["extra"]
    return Request(
        place=place,
        sha256=manifest[SEAL],
        utc=manifest["utc"],
        forget=manifest["data"]["forget"],
        template=manifest["template"],
        max_length=extra.get("max_length"),
        before=(extra.get("losses_before") or {}).get("forget"),
        after=(extra.get("losses_after") or {}).get("forget"),
        require=tuple(extra.get("requirements", ())),
    )
