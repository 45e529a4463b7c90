"""CE-U: cross-entropy to the model's own distribution without the answer token."""

import torch
from torch import Tensor

from ngdiff.core.answers import Answers


def ceu(answers: Answers, *, skip_first: bool = False) -> Tensor:
    """`sum_t CE(stopgrad(softmax(z_t with z_t[y_t] = -inf)), softmax(z_t))` over the answer tokens.

    Instead of lowering the correct token without bound, its probability is distributed over the other tokens in
    proportion to their own. For each token, the gradient with respect to the correct token's logit is its probability
    p, so it fades as the token is forgotten.

    Source: Yang 2025, CE-U (arXiv 2503.01224). The published code skips the first token of every answer by default;
    here that is the option `skip_first`, and the mean then runs over the remaining tokens.

    Args:
        answers: With `logits`.
        skip_first: Skip the first token of each answer.

    Example:
        >>> import math, torch
        >>> logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
        >>> answers = Answers(torch.tensor([0.69]), torch.tensor([0]), rows=1, labels=torch.tensor([0]), logits=logits)
        >>> round(ceu(answers).item(), 4)  # -(0.6 ln 0.3 + 0.4 ln 0.2)
        1.3662
    """
    assert answers.logits is not None, "declared in `needs`"
    assert answers.labels is not None, "declared in `needs`"
    logits, labels = answers.logits, answers.labels
    if skip_first:
        later = ~answers.is_first()
        logits, labels = logits[later], labels[later]
    target = logits.detach().scatter(1, labels[:, None], -torch.inf).softmax(-1)
    return -(target * logits.log_softmax(-1)).sum()
