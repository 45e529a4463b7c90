"""Objectives towards the predictions of a model that never saw the rows, instead of away from the rows' answers."""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from ngdiff.core.answers import Answers
from ngdiff.errors import InputError

_MOST = 1.0 - 1e-6  # a probability of 1 would leave none for the other tokens


def teacher(answers: Answers) -> Tensor:
    """`sum_t CE(p_base_t, p_theta_t)` over the answer tokens, in nats.

    The base model never saw the rows. Its predictions are the target, so the objective has a minimum at which
    forgetting ends. Cross-entropy is insensitive to the exact value of small probabilities: the rows' own tokens remain
    more probable than under a model that never saw them, which `unseen` corrects.

    Source: knowledge distillation (Hinton et al. 2015, arXiv 1503.02531), applied to unlearning.

    Args:
        answers: With `logits`, and log-probabilities in `teacher`.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> even = torch.zeros(1, 2)
        >>> said = Reference(torch.zeros(1), even.log_softmax(-1))
        >>> answers = Answers(torch.zeros(1), torch.tensor([0]), rows=1, logits=even, teacher=said)
        >>> round(teacher(answers).item(), 4)  # ln 2
        0.6931
    """
    assert answers.logits is not None, "declared in `needs`"
    assert answers.teacher is not None, "declared in `needs`"
    assert answers.teacher.log_probs is not None, "declared in `needs`"
    return -(answers.teacher.log_probs.exp() * answers.logits.log_softmax(-1)).sum()


def level(answers: Answers, *, delta: float = 1.0) -> Tensor:
    """`sum_t huber(NLL_t - level_t)` over the answer tokens: moves every loss, up or down, to its value under a model
    that never saw the rows (`ngdiff.training.levels`).

    Quadratic up to `delta` nats from the level, then linear, so that no gradient exceeds that of ascent.

    Args:
        answers: With `level`.
        delta: In nats, positive.

    Example:
        >>> import torch
        >>> answers = Answers(torch.tensor([8.0, 3.5]), torch.tensor([0, 0]), rows=1, level=torch.tensor([6.0, 4.0]))
        >>> level(answers).item()  # (2 - 1/2) + (1/2)^2 / 2
        1.625
    """
    assert answers.level is not None, "declared in `needs`"
    return huber_loss(answers.nll, answers.level, reduction="sum", delta=delta)


def unseen(answers: Answers, *, weight: float = 1.0, share: float = 0.5) -> Tensor:
    """`share teacher + (1 - share) own + weight level`, with `own` as in `lowered`.

    The base model saw neither the rows nor the rest of the fine-tuning data; the model before unlearning saw both. A
    model fine-tuned without the rows lies in between.

    Args:
        answers: With `logits`, `labels`, log-probabilities in `teacher` and in `reference`, and `level`.
        weight: Weight of the level, positive.
        share: Share of the base model, positive, at most 1.

    Raises:
        InputError: `share` above 1.
    """
    if share > 1.0:
        raise InputError(f"unseen(share={share:g}) is above 1")
    return share * teacher(answers) + (1.0 - share) * _own(answers) + weight * level(answers)


def lowered(answers: Answers, *, weight: float = 1.0) -> Tensor:
    """`sum_t CE(q_t, p_theta_t) + weight level`, which needs no base model.

    `q_t` is the distribution of the model before unlearning, with the probability of the correct token lowered to
    `exp(-level_t)` and all others scaled up by the same factor.

    Source: UNDIAL (Dong et al. 2024, arXiv 2402.10052), with a level for each token instead of a constant beta.

    Args:
        answers: With `logits`, `labels`, log-probabilities in `reference`, and `level`.
        weight: Of the level, positive.

    Example:
        >>> import torch
        >>> from ngdiff.core.answers import Reference
        >>> even, half = torch.zeros(1, 2), torch.tensor(0.5)
        >>> answers = Answers(
        ...     -half.log()[None], torch.tensor([0]), rows=1, labels=torch.tensor([0]), logits=even,
        ...     reference=Reference(torch.zeros(1), even.log_softmax(-1)), level=-half.log()[None],
        ... )
        >>> round(lowered(answers).item(), 4)  # ln 2: as it should be
        0.6931
    """
    return _own(answers) + weight * level(answers)


def _own(answers: Answers) -> Tensor:
    """`sum_t CE(q_t, p_theta_t)`."""
    assert answers.logits is not None, "declared in `needs`"
    assert answers.labels is not None, "declared in `needs`"
    assert answers.level is not None, "declared in `needs`"
    assert answers.reference is not None, "declared in `needs`"
    assert answers.reference.log_probs is not None, "declared in `needs`"
    right = answers.labels[:, None]
    others = answers.reference.log_probs.scatter(1, right, -torch.inf).log_softmax(-1)
    chance = (-answers.level).exp().clamp(max=_MOST)[:, None]
    target = (others.exp() * (1.0 - chance)).scatter(1, right, chance)
    return -(target * answers.logits.log_softmax(-1)).sum()
