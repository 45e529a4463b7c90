"""RMU: steer the hidden states of forget rows towards a fixed random direction."""

import torch
from torch import Tensor

from ngdiff.core.answers import Answers


def rmu(answers: Answers, *, coefficient: float = 20.0, direction_seed: int = 0) -> Tensor:
    """`sum_t mean_k (h_t[k] - coefficient u[k])^2` over the positions that predict the answer tokens.

    `h_t` is the hidden state after one layer; `u` is a random direction of length 1 with entries >= 0, fixed for the
    whole run (it depends only on `direction_seed` and the width).

    Source: Li et al. 2024, WMDP (arXiv 2403.03218), Section 5. Departures: their loss runs over all tokens of a text,
    here over the positions that predict an answer; they train the weights of three layers, here all trainable weights
    are trained; the layer is the one at a quarter of the depth (their 7 of 32, counted from 0) unless an `Objective`
    says otherwise; the retain side has its own objective (`ce`, `kl`) instead of their second hidden-state loss. RMU
    has no token loss, so no forget ceiling applies.

    Args:
        answers: With `hidden`.
        coefficient: Length of the target, positive.
        direction_seed: Seed of `u`.

    Example:
        >>> import torch
        >>> answers = Answers(torch.zeros(1), torch.tensor([0]), rows=1, hidden=torch.zeros(1, 4))
        >>> round(rmu(answers).item(), 4)  # 20^2 / 4: `u` has length 1
        100.0
    """
    assert answers.hidden is not None, "declared in `needs`"
    width = answers.hidden.shape[-1]
    generator = torch.Generator().manual_seed(direction_seed)  # on the host: the same on every device
    direction = torch.rand(width, generator=generator, dtype=torch.float64)
    wide = answers.hidden if answers.hidden.dtype == torch.float64 else answers.hidden.float()
    target = (coefficient * direction / direction.norm()).to(wide)
    return ((wide - target) ** 2).mean(-1).sum()


def quarter_up(layers: int) -> int:
    """Number, from 1, of the layer at a quarter of the depth of `layers` layers.

    Example:
        >>> quarter_up(32), quarter_up(2)
        (8, 1)
    """
    return max(1, layers // 4)
