"""NPO: negative preference optimization, gradient ascent that fades as the model moves away from its reference."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from ngdiff.core.answers import Answers


def npo(answers: Answers, *, beta: float = 0.1) -> Tensor:
    """`-(2/beta) sum_i log sigmoid(beta (NLL_i - NLL_ref_i))` over the rows with an answer.

    `NLL_i` is the *sum* over a row's answer tokens, under the model and under the model before unlearning. The value
    starts at `(2/beta) ln 2` per row, where its gradient is that of `-NLL_i`, and both fade as the answer is forgotten;
    as beta -> 0 the gradient becomes that of plain ascent.

    Source: Zhang et al. 2024 (arXiv 2404.05868), Eq. 7. Their code averages over rows; so does the trainer.

    Args:
        answers: With `reference`.
        beta: Inverse temperature, positive: how soon the gradient of a row fades.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> nll = torch.tensor([0.2, 0.3])
        >>> answers = Answers(nll, torch.tensor([0, 0]), rows=1, reference=Reference(nll))
        >>> round(npo(answers).item(), 4)  # (2 / 0.1) ln 2
        13.8629
    """
    assert answers.reference is not None, "declared in `needs`"
    sums, counts = answers.per_row()
    reference, _ = answers.per_row(answers.reference.nll)
    return -(2.0 / beta) * logsigmoid(beta * (sums - reference)[counts > 0]).sum()
