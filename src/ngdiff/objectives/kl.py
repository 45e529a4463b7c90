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
    now, before = _log_probs(answers)
    return (before.exp() * (before - now)).sum()


def cross_entropy_from_before(answers: Answers) -> Tensor:
    """`CE(p_ref_t, p_theta_t)` of each answer token, (T,), in nats: its part of `kl` plus the entropy of `p_ref_t`.

    Args:
        answers: As for `kl`.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> logits = torch.zeros(1, 2)
        >>> same = Reference(torch.zeros(1), logits.log_softmax(-1))
        >>> answers = Answers(torch.zeros(1), torch.tensor([0]), rows=1, logits=logits, reference=same)
        >>> round(cross_entropy_from_before(answers).item(), 4)  # ln 2
        0.6931
    """
    now, before = _log_probs(answers)
    return -(before.exp() * now).sum(-1)


def _log_probs(answers: Answers) -> tuple[Tensor, Tensor]:
    """Of the model in training, and of the model before unlearning."""
    assert answers.logits is not None, "declared in `needs`"
    assert answers.reference is not None, "declared in `needs`"
    assert answers.reference.log_probs is not None, "declared in `needs`"
    return answers.logits.log_softmax(-1), answers.reference.log_probs
