"""Teach an alternative answer, such as "I don't know", instead of the one to be forgotten: IDK, DPO, AltPO."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from ngdiff.core.answers import Answers


def idk(answers: Answers) -> Tensor:
    """`sum_t -log p(y_t)` over the tokens of the alternative answers: cross-entropy on "I don't know".

    The gradient does not depend on the rows' own answers. Both the sum and the mean run over the tokens of the
    alternative answers.

    Source: TOFU (Maini et al. 2024, arXiv 2401.06121), Section 3, where it is combined with the retain loss as `IDK`.

    Args:
        answers: With `alternate`.

    Example:
        >>> import torch
        >>> other = Answers(torch.tensor([0.5, 1.5]), torch.tensor([0, 0]), rows=1)
        >>> idk(Answers(torch.tensor([9.0]), torch.tensor([0]), rows=1, alternate=other))
        tensor(2.)
    """
    assert answers.alternate is not None, "declared in `needs`"
    return answers.alternate.nll.sum()


def dpo(answers: Answers, *, beta: float = 0.1) -> Tensor:
    """`-(2/beta) sum_i log sigmoid(beta (r_alternate_i - r_own_i))`, `r = log p_theta - log p_ref` of a whole answer.

    The alternative answer is preferred, the row's own is rejected. Starts at `(2/beta) ln 2` per row.

    Source: Rafailov et al. 2023 (arXiv 2305.18290), Eq. 7, with TOFU's pairs. The factor 2/beta is that of NPO (Zhang
    et al. 2024), which makes the initial gradient that of the log-ratios for any beta; DPO itself has factor 1. AltPO
    (Mekala et al. 2025, arXiv 2409.13474) is the same, including the factor, with preferred answers sampled from the
    model before unlearning (`ngdiff.tasks.sampled`).

    Args:
        answers: With `alternate`, and with `reference` of both.
        beta: Inverse temperature, positive.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> def rows(nll, reference, alternate=None):
        ...     nll, reference = torch.tensor([nll]), Reference(torch.tensor([reference]))
        ...     return Answers(nll, torch.tensor([0]), rows=1, reference=reference, alternate=alternate)
        >>> round(dpo(rows(0.2, 0.2, alternate=rows(3.0, 3.0))).item(), 4)  # (2 / 0.1) ln 2
        13.8629
    """
    assert answers.alternate is not None, "declared in `needs`"
    margin = _log_ratios(answers.alternate) - _log_ratios(answers)
    _, counts = answers.per_row()
    return -(2.0 / beta) * logsigmoid(beta * margin[counts > 0]).sum()


def _log_ratios(answers: Answers) -> Tensor:
    """(B,) `log p_theta - log p_ref` of each row's answer."""
    assert answers.reference is not None, "declared in `needs`"
    return answers.per_row(answers.reference.nll)[0] - answers.per_row()[0]
