"""Cross-entropy of the answers: minimised to keep them, maximised to forget them."""

from torch import Tensor

from ngdiff.core.answers import Answers


def cross_entropy(answers: Answers) -> Tensor:
    """`sum_t -log p(y_t)` over the answer tokens, in nats.

    Example:
        >>> import torch
        >>> cross_entropy(Answers(torch.tensor([0.5, 1.5]), torch.tensor([0, 1]), rows=2))
        tensor(2.)
    """
    return answers.nll.sum()


def ascent(answers: Answers) -> Tensor:
    """`-cross_entropy`: minimising it makes the answers less and less likely (Jang et al. 2023).

    Example:
        >>> import torch
        >>> ascent(Answers(torch.tensor([0.5, 1.5]), torch.tensor([0, 1]), rows=2))
        tensor(-2.)
    """
    return -answers.nll.sum()
