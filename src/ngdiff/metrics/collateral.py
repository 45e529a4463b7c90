"""Collateral: how unlearning changes the loss on texts in neither set, which should stay the same."""

import math

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.draws import DRAWS, Seed, dirichlet
from ngdiff.metrics.levels import check_confidence
from ngdiff.metrics.probability import loss, nll_sums, token_counts
from ngdiff.metrics.records import Records

# Sets whose loss should not change.
PROTECTED = ("holdout", "protect")


def collateral(now: Records, before: Records) -> float:
    """Change of the token mean loss, now minus before, in nats per token; above 0, the model has become worse.

    Raises:
        InputError: as `ngdiff.metrics.loss`.

    >>> collateral([{"nll_sum": 12.0, "n_tokens": 4}], [{"nll_sum": 10.0, "n_tokens": 4}])
    0.5
    """
    return loss(now) - loss(before)


def collateral_interval(
    now: Records, before: Records, *, confidence: float = 0.95, seed: Seed = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """Percentile interval of `collateral`: Bayesian bootstrap (Rubin 1981) with the same weights for both models.

    Args:
        now, before: The same rows in the same order.

    Raises:
        InputError: fewer than two rows, different numbers of rows, or a confidence level out of range.

    >>> rows = [{"nll_sum": float(i), "n_tokens": 2} for i in range(20)]
    >>> collateral_interval(rows, rows)
    (0.0, 0.0)
    """
    check_confidence(confidence)
    if len(now) != len(before):
        raise InputError(f"collateral compares the same rows, but there are {len(now)} now and {len(before)} before")
    if len(now) < 2:
        raise InputError(f"a confidence interval needs at least 2 examples, found {len(now)}")
    weights = dirichlet(len(now), draws, np.random.default_rng(seed))
    found = [(weights @ nll_sums(side)) / (weights @ np.asarray(token_counts(side), float)) for side in (now, before)]
    low, high = np.quantile(found[0] - found[1], [(1 - confidence) / 2, (1 + confidence) / 2])
    assert math.isfinite(low + high)
    return float(low), float(high)
