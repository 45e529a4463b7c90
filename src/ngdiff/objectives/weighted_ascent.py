"""Gradient ascent weighted towards tokens that are not yet forgotten: WGA and SatImp.

Both weight each token by a function of its probability, held constant (detached): otherwise, the gradient of the weight
would reverse the sign of the step for tokens whose loss is above 1.
"""

from torch import Tensor

from ngdiff.core.answers import Answers


def wga(answers: Answers, *, beta: float = 1.0) -> Tensor:
    """`-sum_t stopgrad(p_t^beta) CE_t`: the weight of forgotten tokens vanishes.

    Source: Wang et al. 2025, weighted gradient ascent.

    Args:
        answers: Token losses of a batch.
        beta: 0 is plain ascent; the larger, the sooner the weight of forgotten tokens vanishes.

    Example:
        >>> import torch
        >>> answers = Answers(-torch.tensor([0.5, 0.25]).log(), torch.tensor([0, 0]), rows=1)
        >>> round(wga(answers).item(), 4)  # -(0.5 * 0.6931 + 0.25 * 1.3863)
        -0.6931
    """
    weight = (-beta * answers.nll).exp().detach()
    return -(weight * answers.nll).sum()


def satimp(answers: Answers, *, beta1: float = 5.0, beta2: float = 1.0) -> Tensor:
    """`-sum_t stopgrad(p_t^beta1 (1 - p_t)^beta2) CE_t`: both forgotten and certain tokens have little weight.

    Source: Yang et al. 2025, saturation and importance combined.

    Args:
        answers: Token losses of a batch.
        beta1: The larger, the sooner the weight of forgotten tokens vanishes.
        beta2: The larger, the lower the weight of certain tokens. A token of probability 1 has weight 0, so a model
            that recites perfectly starts slowly.
    """
    p = (-answers.nll).exp().detach()
    return -(p**beta1 * (1.0 - p) ** beta2 * answers.nll).sum()
