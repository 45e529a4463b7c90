"""How often the intervals of `ngdiff score` hold the true value, by simulation; the table of docs/evaluation.md.

    python benchmarks/coverage.py [--runs 1000]

For each kind of number samples are drawn from distributions whose true value is known, each through the functions
that `ngdiff score` calls. Shown is the least coverage over the distributions of the kind, and the median width of
their intervals; beside it, for means, the least coverage of the percentile bootstrap. Level 0.95.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtri
from scipy.stats import beta

from ngdiff.metrics.auc import auc_interval
from ngdiff.metrics.bootstrap import ratio_interval
from ngdiff.metrics.distance import Distance, RowValues, distance_from_holdout
from ngdiff.metrics.distance import distance as against_retrained
from ngdiff.metrics.gaffke import mean_interval
from ngdiff.metrics.privleak import SCORE, privleak, privleak_interval
from ngdiff.metrics.score import score

Rng = np.random.Generator
MEANS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
SIZES = (10, 20, 40, 100)
# Distributions of a fraction by their mean.
FRACTIONS: dict[str, Callable[[Rng, float, int], np.ndarray]] = {
    "0 or 1": lambda rng, mean, n: (rng.random(n) < mean).astype(float),
    "beta, U-shaped": lambda rng, mean, n: rng.beta(0.5 * mean, 0.5 * (1 - mean), n),
    "beta, one hump": lambda rng, mean, n: rng.beta(10 * mean, 10 * (1 - mean), n),
    "one in eight words": lambda rng, mean, n: rng.binomial(8, rng.beta(2 * mean, 2 * (1 - mean), n)) / 8,
    "0, 1 or between": lambda rng, mean, n: _ends_and_middle(rng, mean, n),
}
# Distributions of a row's loss per token, and their means.
LOSSES: dict[str, tuple[Callable[[Rng, int], np.ndarray], float]] = {
    "normal 3 +- 0.7": (lambda rng, n: np.abs(rng.normal(3, 0.7, n)), 3.0),
    "lognormal, sigma 0.5": (lambda rng, n: rng.lognormal(0, 0.5, n), float(np.exp(0.125))),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0),
    "70 % recited": (
        lambda rng, n: np.where(rng.random(n) < 0.7, rng.exponential(0.02, n), rng.gamma(9, 1 / 3, n)),
        0.914,
    ),
    "lognormal, sigma 1": (lambda rng, n: rng.lognormal(0, 1, n), float(np.exp(0.5))),
    "recited, lognormal, sigma 1.5": (lambda rng, n: rng.lognormal(-4, 1.5, n), float(np.exp(-4 + 1.125))),
}
AREAS = (0.02, 0.2, 0.5, 0.8, 0.95, 0.99)
SPREADS = (0.33, 1.0, 3.0)
PAIRS = ((10, 10), (20, 20), (40, 40), (100, 100), (20, 400), (400, 20))


def _ends_and_middle(rng: Rng, mean: float, n: int) -> np.ndarray:
    at = rng.random(n)
    middle = rng.beta(4 * mean, 4 * (1 - mean), n)
    return np.where(at < 0.8 * mean, 1.0, np.where(at < 0.8, 0.0, middle))


def percentile(values: np.ndarray, rng: Rng) -> tuple[float, float]:
    """The percentile bootstrap, for comparison."""
    drawn = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=1000) @ values / len(values)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def scores(rng: Rng, area: float, spread: float, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of members and others whose AUC is `area`."""
    return rng.normal(0, 1, m), rng.normal(ndtri(area) * np.hypot(1, spread), spread, n)


class Held:
    """How often intervals held the truth, and how wide they were."""

    def __init__(self) -> None:
        self.held = self.runs = 0
        self.widths: list[float] = []

    def add(self, ends: tuple[float, float] | None, true: float) -> None:
        if ends is None:
            ends = (-np.inf, np.inf)
        self.runs += 1
        self.held += ends[0] - 1e-9 <= true <= ends[1] + 1e-9
        self.widths.append(ends[1] - ends[0])


def fractions(runs: int, rng: Rng) -> Iterator[str]:
    """Means of fractions."""
    for n in SIZES:
        ours, old = [], []
        for draw in FRACTIONS.values():
            for true in MEANS:
                mine, other = Held(), Held()
                for run in range(runs):
                    values = draw(rng, true, n)
                    mine.add(mean_interval(values.tolist(), seed=run, draws=1000), true)
                    other.add(percentile(values, rng), true)
                ours.append(mine)
                old.append(other)
        yield row("means of fractions", f"n = {n}", ours, old)


def losses(runs: int, rng: Rng) -> Iterator[str]:
    """Token means of losses, rows of 5 to 60 tokens."""
    for name, (draw, true) in LOSSES.items():
        for n in SIZES:
            mine, other = Held(), Held()
            for run in range(runs):
                counts = rng.integers(5, 61, n)
                values = draw(rng, n)
                mine.add(ratio_interval((values * counts).tolist(), counts.tolist(), seed=run), true)
                drawn = rng.multinomial(n, np.full(n, 1 / n), size=1000).astype(float)
                low, high = np.quantile((drawn @ (values * counts)) / (drawn @ counts), [0.025, 0.975])
                other.add((float(low), float(high)), true)
            yield row(f"loss: {name}", f"n = {n}", [mine], [other])


def areas(runs: int, rng: Rng) -> Iterator[str]:
    """AUC of sides of equal and unequal size and spread."""
    for m, n in PAIRS:
        every = []
        for true in AREAS:
            for spread in SPREADS:
                held = Held()
                for run in range(runs):
                    members, others = scores(rng, true, spread, m, n)
                    held.add(auc_interval(members.tolist(), others.tolist(), seed=run), true)
                every.append(held)
        yield row("AUC", f"{m} against {n}", every)


def privleaks(runs: int, rng: Rng) -> Iterator[str]:
    """PrivLeak against records of a retrained model whose losses of the same rows are correlated (0.5)."""
    for m, n in ((20, 20), (100, 100), (20, 100)):
        every = []
        for known, area in ((0.5, 0.02), (0.5, 0.5), (0.4, 0.8)):
            held = Held()
            true = privleak(area, known)
            for run in range(runs):
                common = rng.normal(size=m), rng.normal(size=n)
                sides = []
                for value in (area, known):
                    holdout, forget = (
                        np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=len(shared)) for shared in common
                    )
                    forget = forget + ndtri(value) * np.sqrt(2)
                    sides.append({"holdout": {SCORE: holdout.tolist()}, "forget": {SCORE: forget.tolist()}})
                held.add(privleak_interval(sides[0], sides[1], confidence=0.95, seed=run), true)
            every.append(held)
        yield row("PrivLeak, in percent", f"{m} against {n}", every)


def utilities(runs: int, rng: Rng) -> Iterator[str]:
    """Model utility of nine, through `score`; three sets of n rows, truths known by integration."""
    for n in SIZES:
        every = []
        for shape in ((2.0, 2.0), (8.0, 1.0), (0.6, 3.0)):
            true = _true_utility(*shape)
            held = Held()
            for run in range(max(50, runs // 5)):
                sets = {name: _rows(rng, n, *shape) for name in ("retain", "real_authors", "world_facts")}
                held.add(tuple(score(sets, confidence=0.95, seed=run)["confidence"]["model_utility"]), true)
            every.append(held)
        yield row("model utility", f"n = {n} each", every)


def distances(runs: int, rng: Rng) -> Iterator[str]:
    """D of models that recite so much of the forget rows (below 0: that went too far); truths from many rows."""
    kinds: dict[str, Callable[..., Distance]] = {
        "D (retrained)": against_retrained,
        "D (holdout)": distance_from_holdout,
    }
    for kind, function in kinds.items():
        for n, m in ((10, 50), (40, 100), (200, 200)):
            every = []
            for known in (0.0, 0.1, -0.2, 0.5):
                held = Held()
                truth = _measured(function, _models(np.random.default_rng(1), known, 4000, 4000), draws=2)
                for run in range(max(50, runs // 5)):
                    found = _measured(function, _models(rng, known, n, m), seed=run)
                    held.add(found.interval, float(truth.value or 0.0))
                every.append(held)
            yield row(kind, f"{n} against {m}", every)


def _measured(function: Callable[..., Distance], models: list[RowValues], **options: int) -> Distance:
    now, retrained, before = models
    return function(now, *([retrained] if function is against_retrained else []), before, **options)


def _models(rng: Rng, known: float, n: int, m: int) -> list[RowValues]:
    """The model, a retrained one, and that before, on the same rows: each row has a difficulty that all share."""
    difficulties = rng.normal(size=n), rng.normal(size=m)

    def side(difficulty: np.ndarray, seen: float) -> dict[str, np.ndarray]:
        k, far = difficulty.size, 1 - seen
        loss = np.abs(8 * far + 0.01 + 0.7 * far * (difficulty + 0.3 * rng.normal(size=k)))
        return {
            "loss": loss,
            "probability": np.exp(-loss),
            "min-20%": 1.8 * loss + 0.5 * rng.normal(size=k),
            "verbmem": np.clip(0.13 * far + 0.98 * seen + 0.1 * far * rng.normal(size=k), 0, 1),
            "exact_memorisation": np.clip(0.13 + 0.86 * seen + 0.08 * rng.normal(size=k), 0, 1),
            "extraction_strength": np.where(rng.random(k) < seen, 1, (rng.random(k) < 0.1) * rng.random(k) / 2),
        }

    return [RowValues(side(difficulties[0], seen), side(difficulties[1], 0.0)) for seen in (known, 0.0, 0.99)]


def _rows(rng: Rng, n: int, a: float, b: float) -> list[dict[str, object]]:
    """Rows with known means: p of the answer beta(a, b), one wrong answer of probability p / 4, ROUGE in quarters."""
    words = ("one", "two", "three", "four")
    probabilities = rng.beta(a, b, n)
    right = rng.binomial(4, rng.beta(a, b, n))
    return [
        {
            "nll_sum": float(-np.log(p)),
            "n_tokens": 1,
            "perturbed": [{"nll_sum": float(-np.log(p / 4)), "n_tokens": 1}],
            "reference": " ".join(words),
            "generated": " ".join(words[:hits]),
        }
        for p, hits in zip(np.maximum(probabilities, 1e-12), right, strict=True)
    ]


def _true_utility(a: float, b: float) -> float:
    mean = quad(lambda p: p * beta.pdf(p, a, b), 0, 1)[0]
    parts = [mean, a / (a + b), 0.75] + 2 * [0.8, a / (a + b), 0.75]  # p / (p + p / 4) = 0.8; 1 - R = 0.75
    return len(parts) / sum(1 / part for part in parts)


def row(kind: str, size: str, ours: list[Held], old: list[Held] | None = None) -> str:
    """A line of the table."""
    least = min(ours, key=lambda one: one.held / one.runs)
    beside = "" if old is None else f"{min(one.held / one.runs for one in old):.2f}"
    width = np.median([width for one in ours for width in one.widths])
    return f"| {kind} | {size} | {least.held / least.runs:.3f} | {width:.3f} | {beside} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="samples of each distribution")
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    print("| number | size | least coverage | median width | percentile bootstrap, least coverage |")
    print("|---|---|---|---|---|")
    for part in (fractions, losses, areas, privleaks, utilities, distances):
        for line in part(runs, rng):
            print(line, flush=True)


if __name__ == "__main__":
    main()
