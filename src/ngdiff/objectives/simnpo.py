"""SimNPO: negative preference optimization without a reference model."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from ngdiff.core.answers import Answers


def simnpo(answers: Answers, *, beta: float = 4.5, delta: float = 0.0) -> Tensor:
    """`-(2/beta) sum_i log sigmoid(beta (NLL_i / n_i - delta))` over the rows with an answer.

    `NLL_i / n_i` is the mean loss of a row's answer tokens. The sum falls from `(2/beta) ln 2` per row (a recited
    answer, delta 0) to 0 (a forgotten one), and its gradient fades with it.

    Source: Fan et al. 2024, Eq. 4.

    Args:
        answers: Token losses of a batch.
        beta: Sharpness, positive.
        delta: Margin, nats per token.

    Example:
        >>> import torch
        >>> answers = Answers(torch.tensor([0.0, 0.0]), torch.tensor([0, 0]), rows=1)
        >>> round(simnpo(answers).item(), 4)  # (2 / 4.5) ln 2
        0.3081
    """
    sums, counts = answers.per_row()
    has_answer = counts > 0
    margin = sums[has_answer] / counts[has_answer] - delta
    return -(2.0 / beta) * logsigmoid(beta * margin).sum()
