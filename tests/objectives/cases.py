"""One row for each objective: its value, token by token, in double precision. A missing row fails a test."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Batch:
    """A batch as plain lists of numbers.

    Args:
        z: Logits of each token.
        y: Label of each token.
        row: Row of each token.
        ref: Reference logits of each token.
        hidden: Hidden state of each token.
        base: Logits of the base model of each token.
        level: Level of each token.
        other: The batch of alternate answers, or None.
    """

    z: list[list[float]]
    y: list[int]
    row: list[int]
    ref: list[list[float]]
    hidden: list[list[float]] = field(default_factory=list)
    other: Any = None
    base: list[list[float]] = field(default_factory=list)
    level: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """An objective's formula.

    Args:
        twin: `Batch -> sum over its units`.
        units: `Batch -> number of units`.
        parameters: Given to the objective.
        frozen: For objectives that hold something constant: `Batch -> twin` with that thing taken from the batch.
    """

    twin: Any
    units: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    frozen: Any = None


def log_softmax(z: list[float]) -> list[float]:
    top = max(z)
    total = top + math.log(sum(math.exp(x - top) for x in z))
    return [x - total for x in z]


def nll(z, y) -> list[float]:
    return [-log_softmax(logits)[label] for logits, label in zip(z, y, strict=True)]


def rows(b: Batch) -> list[int]:
    return sorted(set(b.row))


def tokens(b):
    return len(b.y)


def answered(b):
    return len(rows(b))


def by_row(values, b: Batch) -> dict[int, list[float]]:
    return {r: [v for v, s in zip(values, b.row, strict=True) if s == r] for r in rows(b)}


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > -30 else x


def ce(b):
    return -sum(nll(b.z, b.y))


def npo(b, beta=0.1):
    now, then = by_row(nll(b.z, b.y), b), by_row(nll(b.ref, b.y), b)
    return sum(-(2 / beta) * log_sigmoid(beta * (sum(now[r]) - sum(then[r]))) for r in rows(b))


def simnpo(b, beta=4.5, delta=0.0):
    now = by_row(nll(b.z, b.y), b)
    return sum(-(2 / beta) * log_sigmoid(beta * (sum(v) / len(v) - delta)) for v in now.values())


def dpo(b, beta=0.1):
    def ratio(batch, r):
        return sum(by_row(nll(batch.ref, batch.y), batch)[r]) - sum(by_row(nll(batch.z, batch.y), batch)[r])

    return sum(-(2 / beta) * log_sigmoid(beta * (ratio(b.other, r) - ratio(b, r))) for r in rows(b))


def idk(b):
    return sum(nll(b.other.z, b.other.y))


def weighted(weight):
    """`-sum_t weight(p_t) CE_t` with the weights of the batch `at`."""

    def at(fixed):
        weights = [weight(math.exp(-x)) for x in nll(fixed.z, fixed.y)]
        return lambda b: -sum(w * x for w, x in zip(weights, nll(b.z, b.y), strict=True))

    return {"twin": lambda b: at(b)(b), "units": tokens, "frozen": at}


def undial(b, beta=10.0):
    total = 0.0
    for z, y, ref in zip(b.z, b.y, b.ref, strict=True):
        lowered = [x - beta * (i == y) for i, x in enumerate(ref)]
        target, found = [math.exp(x) for x in log_softmax(lowered)], log_softmax(z)
        total -= sum(t * f for t, f in zip(target, found, strict=True))
    return total


def ceu(b, skip_first=False, target_of=None):
    total, seen = 0.0, set()
    for place, (z, y, r) in enumerate(zip(b.z, b.y, b.row, strict=True)):
        first = r not in seen
        seen.add(r)
        if first and skip_first:
            continue
        others = log_softmax([x for i, x in enumerate((target_of or b.z)[place]) if i != y])
        found = [x for i, x in enumerate(log_softmax(z)) if i != y]
        total -= sum(math.exp(t) * f for t, f in zip(others, found, strict=True))
    return total


def kl(b):
    total = 0.0
    for z, ref in zip(b.z, b.ref, strict=True):
        p, q = log_softmax(ref), log_softmax(z)
        total += sum(math.exp(x) * (x - y) for x, y in zip(p, q, strict=True))
    return total


def rmu(b, coefficient=20.0):
    # The direction is drawn with torch, as a user who wants to know it would.
    drawn = torch.rand(len(b.hidden[0]), generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    length = math.sqrt(sum(u * u for u in drawn))
    target = [coefficient * u / length for u in drawn]
    return sum(sum((h - u) ** 2 for h, u in zip(v, target, strict=True)) / len(v) for v in b.hidden)


def teacher(b):
    total = 0.0
    for z, base in zip(b.z, b.base, strict=True):
        total -= sum(math.exp(x) * y for x, y in zip(log_softmax(base), log_softmax(z), strict=True))
    return total


def level(b, delta=1.0):
    off = [abs(x - wanted) for x, wanted in zip(nll(b.z, b.y), b.level, strict=True)]
    return sum(x * x / 2 if x < delta else delta * (x - delta / 2) for x in off)


def lowered(b, weight=1.0):
    total = 0.0
    for z, y, ref, wanted in zip(b.z, b.y, b.ref, b.level, strict=True):
        chance, then = math.exp(-wanted), [math.exp(x) for x in log_softmax(ref)]
        target = [chance if i == y else (1 - chance) * p / (1 - then[y]) for i, p in enumerate(then)]
        total -= sum(t * x for t, x in zip(target, log_softmax(z), strict=True))
    return total + weight * level(b)


FORGET: dict[str, list[Case]] = {
    "ce": [Case(ce, tokens)],
    "npo": [Case(npo, answered), Case(lambda b: npo(b, 0.7), answered, {"beta": 0.7})],
    "simnpo": [Case(simnpo, answered), Case(lambda b: simnpo(b, 2.0, 0.5), answered, {"beta": 2.0, "delta": 0.5})],
    "dpo": [Case(dpo, answered), Case(lambda b: dpo(b, 0.5), answered, {"beta": 0.5})],
    "altpo": [Case(dpo, answered), Case(lambda b: dpo(b, 0.5), answered, {"beta": 0.5})],
    "idk": [Case(idk, lambda b: tokens(b.other))],
    "wga": [Case(**weighted(lambda p: p)), Case(**weighted(math.sqrt), parameters={"beta": 0.5})],
    "satimp": [
        Case(**weighted(lambda p: p**5 * (1 - p))),
        Case(**weighted(lambda p: p**2 * (1 - p) ** 3), parameters={"beta1": 2.0, "beta2": 3.0}),
    ],
    "undial": [Case(undial, tokens), Case(lambda b: undial(b, 2.5), tokens, {"beta": 2.5})],
    "teacher": [Case(teacher, tokens)],
    "level": [Case(level, tokens), Case(lambda b: level(b, 0.2), tokens, {"delta": 0.2})],
    "unseen": [
        Case(lambda b: (teacher(b) + lowered(b, 0.0)) / 2 + level(b), tokens),
        Case(
            lambda b: 0.75 * teacher(b) + 0.25 * lowered(b, 0.0) + 2.0 * level(b),
            tokens,
            {"weight": 2.0, "share": 0.75},
        ),
    ],
    "lowered": [Case(lowered, tokens), Case(lambda b: lowered(b, 1.5), tokens, {"weight": 1.5})],
    "ceu": [
        Case(ceu, tokens, frozen=lambda fixed: lambda b: ceu(b, target_of=fixed.z)),
        Case(
            lambda b: ceu(b, True),
            lambda b: tokens(b) - answered(b),
            {"skip_first": True},
            frozen=lambda fixed: lambda b: ceu(b, True, target_of=fixed.z),
        ),
    ],
    "rmu": [Case(rmu, tokens), Case(lambda b: rmu(b, 3.0), tokens, {"coefficient": 3.0})],
}
RETAIN: dict[str, list[Case]] = {"ce": [Case(lambda b: -ce(b), tokens)], "kl": [Case(kl, tokens)]}
