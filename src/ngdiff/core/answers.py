"""What a model said on one batch: the input of every objective.

Shape legend: T labelled tokens in the batch (answers and their end tokens, all rows one after the other),
B rows.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Answers:
    """Losses of the answer tokens of one batch.

    Args:
        nll: (T,) natural-logarithm negative log-probability of each label, at least fp32, with its graph.
        row: (T,) int64, the row of the batch that each token belongs to.
        rows: B, the number of rows, those without any label included.
    """

    nll: Tensor
    row: Tensor
    rows: int

    def per_row(self) -> tuple[Tensor, Tensor]:
        """Sum of `nll` and number of tokens of each row, both of shape (B,).

        Example:
            >>> import torch
            >>> Answers(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 2]), rows=3).per_row()
            (tensor([3., 0., 4.]), tensor([2., 0., 1.]))
        """
        sums = self.nll.new_zeros(self.rows).index_add(0, self.row, self.nll)
        counts = self.nll.new_zeros(self.rows).index_add(0, self.row, self.nll.new_ones(self.row.shape))
        return sums, counts
