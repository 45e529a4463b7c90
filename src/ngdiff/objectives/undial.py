"""UNDIAL: distillation from the model before unlearning, with the answer token's logit lowered."""

import torch
from torch import Tensor

from ngdiff.core.answers import Answers


def undial(answers: Answers, *, beta: float = 10.0) -> Tensor:
    """`sum_t CE(softmax(z_ref_t - beta onehot(y_t)), softmax(z_t))` over the answer tokens.

    The target is the distribution of the model before unlearning with the logit of the correct token lowered by beta.
    The model learns it as in distillation, so the objective has a minimum and cannot diverge.

    Source: Dong et al. 2024 (arXiv 2402.10052), Eq. 3 and 4, beta as in their TOFU runs. Two known defects of published
    code are avoided: a label of -100 used as an index into the vocabulary, and a mean over prompt and padding.

    Args:
        answers: With `logits` and log-probabilities in `reference`.
        beta: How far the correct token's logit is lowered, positive.

    Example:
        >>> import math, torch
        >>> from ngdiff.core.answers import Reference
        >>> even = torch.zeros(1, 2)  # both tokens alike; afterwards the right one stands at odds of exp(-10)
        >>> answers = Answers(
        ...     torch.tensor([math.log(2)]), torch.tensor([0]), rows=1, labels=torch.tensor([0]), logits=even,
        ...     reference=Reference(torch.tensor([math.log(2)]), even.log_softmax(-1)),
        ... )
        >>> round(undial(answers).item(), 4)  # ln 2: the model is undecided, whatever the target
        0.6931
    """
    assert answers.logits is not None, "declared in `needs`"
    assert answers.labels is not None, "declared in `needs`"
    assert answers.reference is not None, "declared in `needs`"
    assert answers.reference.log_probs is not None, "declared in `needs`"
    lowered = answers.reference.log_probs.scatter_add(
        1, answers.labels[:, None], torch.full_like(answers.reference.log_probs[:, :1], -beta)
    )
    return -(lowered.softmax(-1) * answers.logits.log_softmax(-1)).sum()
