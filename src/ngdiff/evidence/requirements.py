"""Requirements set beforehand, such as `forget.extraction_strength<=0.1, utility>=0.98*before`, and their judgement."""

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ngdiff.errors import InputError
from ngdiff.metrics import UNICODE, metrics_of
from ngdiff.metrics.catalogue import METRICS
from ngdiff.metrics.collateral import PROTECTED
from ngdiff.metrics.membership import SCORES
from ngdiff.metrics.row_statistics import MEASURES
from ngdiff.metrics.worst import COUNT, MAX, watched
from ngdiff.scoring.quantities import ALIASES, DISTANCES, quantities

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
# Quantities that an unlearning run measures itself.
LOSSES = ("forget.loss", "retain.loss", "holdout.loss")

_NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
_BOUND = re.compile(
    rf"(?P<number>-?(?:{_NUMBER}))|(?:(?P<factor>{_NUMBER})\*)?before(?P<offset>[+-](?:{_NUMBER}))?",
)
_FORM = "QUANTITY<=BOUND, with <=, >=, < or >, and a BOUND such as 0.1, before, 0.98*before, 1.1*before+0.05"


@dataclass(frozen=True)
class Requirement:
    """A bound on a quantity.

    Attributes:
        text: As typed, without spaces.
        quantity: The bounded quantity.
        sign: One of `OPERATORS`.
        factor: Factor of the value before unlearning; None if the bound is a number.
        offset: Term added to it, or the number.
    """

    text: str
    quantity: str
    sign: str
    factor: float | None
    offset: float

    def bound(self, before: float | None) -> float | None:
        """`factor * before + offset`; None if that needs a value before and there is none."""
        if self.factor is None:
            return self.offset
        return None if before is None else self.factor * before + self.offset


@dataclass(frozen=True)
class Verdict:
    """The result of checking a requirement.

    Attributes:
        require: Its text.
        value: The measured value; None if it was not measured.
        before: The value before unlearning, if known.
        bound: The bound.
        met: Whether the value satisfies the bound; None if this run cannot decide it.
    """

    require: str
    value: float | None
    before: float | None
    bound: float | None
    met: bool | None

    def as_json(self) -> dict[str, Any]:
        """For the manifest; infinities and NaN become None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def parse_requirements(text: str | None, option: str = "--require") -> list[Requirement]:
    """The requirements in a text, separated by commas; empty for None.

    Raises:
        InputError: another form, an unknown quantity, or two bounds for a quantity in the same direction.

    >>> [one] = parse_requirements("retain.loss <= 1.1*before + 0.05")
    >>> one.text, one.quantity, one.bound(2.0)
    ('retain.loss<=1.1*before+0.05', 'retain.loss', 2.25)
    """
    if text is None:
        return []
    found = [_parse("".join(part.split()), option) for part in text.split(",")]
    seen = set()
    for one in found:
        key = (one.quantity, one.sign[0])
        if key in seen:
            raise InputError(f"{option}: {one.quantity} has two bounds with {one.sign[0]}; give one of them")
        seen.add(key)
    return found


def _parse(text: str, option: str) -> Requirement:
    match = re.fullmatch(r"([^<>=]+)(<=|>=|<|>)([^<>=]+)", text)
    if match is None:
        raise InputError(f"{option}: {text or 'an empty part'} is not of the form {_FORM}")
    quantity, sign, bound = match.groups()
    read = _BOUND.fullmatch(bound)
    if read is None:
        raise InputError(f"{option}: {text}: {bound} is no bound; accepted is {_FORM}")
    if not is_known(quantity):
        raise InputError(f"{option}: {quantity} is not known{_similar(quantity)} There are {_known()}")
    if read["number"] is not None:
        factor, offset = None, float(read["number"])
    else:
        factor, offset = float(read["factor"] or 1), float(read["offset"] or 0)
    if not all(math.isfinite(number) for number in (factor or 0.0, offset)):
        raise InputError(f"{option}: {text}: {bound} is no finite number")
    return Requirement(text, quantity, sign, factor, offset)


def is_known(quantity: str) -> bool:
    """Whether an evaluation can have the quantity."""
    return quantity in _names() or re.fullmatch(r"lm_eval(\.[^.\s]+){2,}", quantity) is not None


def _names() -> list[str]:
    """All quantities except those of lm-evaluation-harness."""
    names = [*ALIASES, "model_utility", "forget_quality", "privleak", *DISTANCES]
    names += [f"{key}.{measure}" for key in DISTANCES for measure in MEASURES]
    names += [f"collateral.{name}" for name in PROTECTED]
    names += [f"aggregates.{name}" for name in ("memorisation", "privacy", "robustness")]
    for name in dict.fromkeys([*METRICS, *PROTECTED, "test"]):
        names += [f"{name}.{key}" for key in metrics_of(name)]
        names += [f"{name}.{key}{more}" for key in watched(name) for more in (MAX, COUNT)]
    return names + [f"membership.{name}" for name in SCORES]


def _similar(quantity: str) -> str:
    close = difflib.get_close_matches(quantity, _names(), n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _known() -> str:
    """A short list of the quantities, for messages."""
    keys = [key for key in metrics_of("forget") if not key.endswith(UNICODE)]
    sets = list(dict.fromkeys([*METRICS, *PROTECTED]))
    rest = [*ALIASES, "model_utility", "forget_quality", "privleak", *DISTANCES]
    rest += [f"collateral.{name}" for name in PROTECTED] + ["aggregates.NAME", "membership.NAME", "lm_eval.TASK.NAME"]
    return f"{', '.join(rest)}, and SET.NUMBER with SET {', '.join(sets)} and NUMBER {', '.join(keys)}"


def numbers_of_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every quantity in `metrics.json`, by its name in a requirement."""
    found = {}
    for quantity in quantities([metrics]):
        value = quantity.value(metrics)
        if value is not None:
            found[quantity.key] = value
    for name, key in ALIASES.items():
        for own in (key + UNICODE, key):  # ROUGE over Unicode words, where the texts need it
            if own in found:
                found.setdefault(name, found[own])
    return found


def set_of(one: Requirement) -> str:
    """The first part of its quantity: the set, where the quantity is of one.

    >>> [one] = parse_requirements("utility>=0.9")
    >>> set_of(one)
    'retain'
    """
    return ALIASES.get(one.quantity, one.quantity).partition(".")[0]


def judge(
    requirements: Sequence[Requirement],
    values: Mapping[str, float],
    before: Mapping[str, float] | None = None,
    *,
    must_be_measured: bool,
) -> list[Verdict]:
    """Check each requirement.

    Args:
        values: The measured values, by quantity.
        before: Those of the model before unlearning.
        must_be_measured: Whether a requirement without a value counts as not met; otherwise it stays open.
    """
    verdicts = []
    for one in requirements:
        value, earlier = values.get(one.quantity), (before or {}).get(one.quantity)
        bound = one.bound(earlier)
        met: bool | None
        if value is None or bound is None:
            met = False if must_be_measured else None
        else:
            met = OPERATORS[one.sign](value, bound)
        verdicts.append(Verdict(one.text, value, earlier, bound, met))
    return verdicts
