"""Outputs of a model on one batch: the input of every objective.

Shape legend: T labelled tokens in the batch (answers and their end tokens, all rows one after the other; for an image
classifier the images themselves), B rows, V choices (words of the vocabulary, classes), H width of a hidden state.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Unit = Literal["token", "sequence", "later_token"]

IGNORED = -100  # label of a position that is not learned


@dataclass(frozen=True, slots=True)
class Reference:
    """Outputs of another model on the same tokens, such as the one before unlearning; held constant.

    Args:
        nll: (T,) negative log-probability of each label, at least fp32.
        log_probs: (T, V) log-probabilities of all choices; None unless the objective asks for them.
    """

    nll: Tensor
    log_probs: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Losses of the answer tokens of one batch, and the other outputs that an objective needs.

    Args:
        nll: (T,) natural-logarithm negative log-probability of each label, at least fp32, with its graph, which may
            serve one backward pass, of the first order; any number where the objective needs `logits`.
        row: (T,) int64, the row of the batch that each token belongs to, ascending.
        rows: B, the number of rows, those without any label included.
        labels: (T,) int64.
        logits: (T, V), at least fp32, with graph. Only for objectives that need `logits`.
        hidden: (T, H) hidden states after one layer at the positions that predict the labels. Only for those
            that need `hidden`.
        reference: Outputs of the model before unlearning. Only for objectives that need a reference.
        teacher: Outputs of the base model, the one before fine-tuning. Only for objectives that need a teacher.
        level: (T,) loss, in nats, that each label would have in a model that never saw the rows, at least fp32, held
            constant. Only for those that need levels.
        alternate: The same rows with an alternative answer in place of their own, e.g. "I don't know". Only for those
            that need `alternate`.
    """

    nll: Tensor
    row: Tensor
    rows: int
    labels: Tensor | None = None
    logits: Tensor | None = None
    hidden: Tensor | None = None
    reference: Reference | None = None
    teacher: Reference | None = None
    level: Tensor | None = None
    alternate: "Answers | None" = None

    def per_row(self, values: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Sum of `values` (of `nll`) and number of tokens of each row, both of shape (B,).

        Example:
            >>> import torch
            >>> Answers(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 2]), rows=3).per_row()
            (tensor([3., 0., 4.]), tensor([2., 0., 1.]))
        """
        values = self.nll if values is None else values
        sums = values.new_zeros(self.rows).index_add(0, self.row, values)
        counts = values.new_zeros(self.rows).index_add(0, self.row, values.new_ones(self.row.shape))
        return sums, counts

    def is_first(self) -> Tensor:
        """(T,) bool, the first answer token of each row.

        Example:
            >>> import torch
            >>> Answers(torch.zeros(3), torch.tensor([0, 0, 2]), rows=3).is_first()
            tensor([ True, False,  True])
        """
        before = torch.cat([self.row.new_full((1,), -1), self.row])[:-1]
        return self.row != before


def count_units(labels: Tensor, unit: Unit) -> Tensor:
    """Number of units of a batch, a scalar int64 tensor.

    `token`: labels that have a prediction (for a sequence those not at position 0: no token comes before it).
    `sequence`: rows with at least one of them. `later_token`: tokens that are not the first of their row.

    Args:
        labels: (B, L) labels of token sequences, or (B,) one label a row; -100 where nothing is learned.
        unit: What to count.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[-100, 5, 6], [-100, -100, -100]])
        >>> [int(count_units(labels, unit)) for unit in ("token", "sequence", "later_token")]
        [2, 1, 1]
    """
    labelled = (labels[:, 1:] if labels.ndim == 2 else labels[:, None]) != IGNORED
    rows = labelled.any(dim=1).sum()
    if unit == "sequence":
        return rows
    return labelled.sum() - rows if unit == "later_token" else labelled.sum()
