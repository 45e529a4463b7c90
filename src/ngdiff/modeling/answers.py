"""The forward pass of a causal language model, reduced to the losses of its answer tokens.

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ngdiff.core.answers import Answers


def forward_answers(model: nn.Module, batch: Mapping[str, Tensor]) -> Answers:
    """Run `model` on a batch and return the negative log-probabilities of its labels.

    Token t + 1 is predicted from tokens up to t, so a label at position 0 has no prediction and does not
    count. The logits of labelled positions alone go to fp32 (bf16 loses the third digit of a loss).

    Args:
        model: A causal language model: `model(input_ids=, attention_mask=)` has `.logits` of shape (B, L, V).
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts.
    """
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    labels = batch["labels"][:, 1:]
    labelled = labels != -100
    picked = logits[:, :-1][labelled]  # (T, V)
    picked = picked if picked.dtype == torch.float64 else picked.float()
    nll = nn.functional.cross_entropy(picked, labels[labelled], reduction="none")
    return Answers(nll=nll, row=labelled.nonzero()[:, 0], rows=labels.shape[0])


def count_labels(labels: Tensor) -> Tensor:
    """Number of labels that have a prediction: those not at position 0. Scalar int64."""
    return (labels[:, 1:] != -100).sum()


def count_labelled_rows(labels: Tensor) -> Tensor:
    """Number of rows with at least one label that has a prediction. Scalar int64."""
    return (labels[:, 1:] != -100).any(dim=1).sum()
