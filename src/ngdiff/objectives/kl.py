"""KL: keep the predictions of the model before unlearning, whether correct or not."""

from torch import Tensor

from ngdiff.core.answers import Answers


def kl(answers: Answers) -> Tensor:
    """`sum_t KL(p_ref_t || p_theta_t)` over the answer tokens, in nats.

    0 at the start of a run, where its gradient is rounding noise: the trainer gives the side weight 0 below its
    `noise_floor`. The sum runs only over answer tokens; code that averages over prompt and padding mostly measures
    those.

    Source: TOFU (Maini et al. 2024, arXiv 2401.06121), Section 3, "KL minimization".

    Args:
        answers: With `logits` and log-probabilities in `reference`.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> logits = torch.tensor([[2.0, -1.0, 0.5]])
        >>> same = Reference(torch.zeros(1), logits.log_softmax(-1))
        >>> kl(Answers(torch.zeros(1), torch.tensor([0]), rows=1, logits=logits, reference=same)).item()
        0.0
    """
    assert answers.logits is not None, "declared in `needs`"
    assert answers.reference is not None, "declared in `needs`"
    assert answers.reference.log_probs is not None, "declared in `needs`"
    reference = answers.reference.log_probs
    return (reference.exp() * (reference - answers.logits.log_softmax(-1))).sum()
