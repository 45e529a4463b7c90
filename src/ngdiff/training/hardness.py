"""How hard tokens are for a model that never saw their rows, predicted from what is known of them.

Known are the losses of the base model, where there is one, and what the task says about them given the retain rows
(`Task.familiarity`): a model that learnt those finds alike rows easier than others. What either is worth shows on the
holdout rows, of which the model's losses are known: a polynomial of second degree in each feature, without products,
fitted to them by least squares. Where nothing is known of any token, the rank of its own loss stands for its hardness.

Source: regression for difficulty calibration of membership inference (Watson et al. 2022, arXiv 2111.08440, subtract
the loss of a base model alone).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

KNOWN_ROWS = 20_000  # retain rows that are asked, evenly spread; more say little more


def features_of(familiarity: Sequence[Tensor], base_losses: Sequence[Tensor] | None) -> list[Tensor]:
    """What is known of the answer tokens of each row, (T, F).

    Args:
        familiarity: Of the task, (T, F') of each row.
        base_losses: Of the base model, (T,) of each row; None without one.
    """
    if base_losses is None:
        return list(familiarity)
    pairs = zip(familiarity, base_losses, strict=True)
    return [torch.cat([own, losses[:, None].to(own)], dim=1) for own, losses in pairs]


def fit(features: Sequence[Tensor], losses: Tensor) -> list[float]:
    """Coefficients with which `hardness` comes nearest to the losses, in nats.

    Args:
        features: Of the holdout tokens, (T, F) of each row.
        losses: Of the same tokens under the model before unlearning, one row after the other, in nats.
    """
    terms = _terms(torch.cat(list(features)))
    found = torch.linalg.lstsq(terms, losses.double()[:, None], driver="gelsd").solution  # of any rank
    return found[:, 0].tolist()


def hardness(features: Sequence[Tensor], coefficients: Sequence[float]) -> list[Tensor]:
    """Predicted losses of the answer tokens of each row, in nats. Without features they are all the same."""
    weights = torch.tensor(coefficients, dtype=torch.float64)
    return [(_terms(own) @ weights).float() for own in features]


def ranks(losses: Tensor) -> Tensor:
    """Rank of each loss among all of them, between 0 and 1.

    A model that learnt rows finds all of them easier than before, but mostly the hardest still the hardest.

    Args:
        losses: (T,), of all answer tokens of a set.

    Example:
        >>> import torch
        >>> ranks(torch.tensor([0.4, 0.1, 0.2, 0.9])).tolist()
        [0.625, 0.125, 0.375, 0.875]
    """
    return (losses.argsort(stable=True).argsort() + 0.5) / len(losses)


def _terms(features: Tensor) -> Tensor:
    """(T, 1 + 2 F): 1, each feature, and its square."""
    own = features.double()
    return torch.cat([own.new_ones(own.shape[0], 1), own, own.square()], dim=1)
