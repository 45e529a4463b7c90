"""Gradient ascent that looks where there is still something to forget: WGA and SatImp.

Both weigh each token by a function of its probability, held constant (detached): with its gradient the weight
would turn the sign of the step for tokens whose loss is above 1.
"""

from torch import Tensor

from ngdiff.core.answers import Answers


def wga(answers: Answers, *, beta: float = 1.0) -> Tensor:
    """`-sum_t stopgrad(p_t^beta) CE_t`: tokens already forgotten no longer count.

    Source: Wang et al. 2025, weighted gradient ascent.

    Args:
        answers: Token losses of a batch.
        beta: 0 is plain ascent; larger values leave forgotten tokens alone sooner.

    Example:
        >>> import torch
        >>> answers = Answers(-torch.tensor([0.5, 0.25]).log(), torch.tensor([0, 0]), rows=1)
        >>> round(wga(answers).item(), 4)  # -(0.5 * 0.6931 + 0.25 * 1.3863)
        -0.6931
    """
    weight = (-beta * answers.nll).exp().detach()
    return -(weight * answers.nll).sum()


def satimp(answers: Answers, *, beta1: float = 5.0, beta2: float = 1.0) -> Tensor:
    """`-sum_t stopgrad(p_t^beta1 (1 - p_t)^beta2) CE_t`: neither forgotten nor certain tokens count most.

    Source: Yang et al. 2025, saturation and importance combined.

    Args:
        answers: Token losses of a batch.
        beta1: How soon forgotten tokens are left alone.
        beta2: How little certain tokens count. A token of probability 1 has weight 0: a model that recites perfectly
            starts slowly.
    """
    p = (-answers.nll).exp().detach()
    return -(p**beta1 * (1.0 - p) ** beta2 * answers.nll).sum()
