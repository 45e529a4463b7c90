"""Levels: the loss that each token to forget would have in a model that never saw its row.

Such a token has a *twin*: a token of the holdout rows, which the model never saw, that is about as hard
(`ngdiff.training.hardness`). The level of a token is the loss of its twin in the model as it is now. The losses of the
forget rows thus match not only the mean but also the spread of the losses of rows never seen, and follow them when they
change.

Tokens share weights, so that their losses spread less than their levels: the hardest stop short, and an attacker who
looks at the hardest fifth of a row finds it. `Levels.correct` moves the levels by what was missed, as the integral part
of a controller does (Åström and Murray 2008, "Feedback Systems", section 10.1).

Difficulty calibration of membership inference (Watson et al. 2022, arXiv 2111.08440), turned into a target.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ngdiff.core.answers import Answers

INTERVAL = 10  # steps between two looks
_NEAR = 20  # a twin is one of this many tokens nearest in hardness, on either side
_BINS = 10  # as many tokens each, from the lowest levels to the highest, are corrected alike
_GAIN = 0.5  # of a correction: part of what was missed
_MOST = 1.0  # nats that count as missed at once: right after the arrival the losses are still rising


class Levels:
    """Twins of the tokens to forget, and their losses in the model now.

    Attributes:
        losses: Of the tokens of the holdout rows, in nats, as last measured; empty before.
        corrections: What is added to the levels of the answer tokens of all rows to forget, in nats.
    """

    def __init__(self) -> None:
        self._twins: list[Tensor] = []
        self._places: list[Tensor] = []  # of each row's tokens, among those of all rows to forget
        self.losses = torch.empty(0)
        self.corrections = torch.empty(0)

    def pair(self, forget: Sequence[Tensor], holdout: Sequence[Tensor], *, seed: int) -> None:
        """Choose the twins.

        Args:
            forget: Hardness of the answer tokens of each row to forget, in nats.
            holdout: Of each holdout row.
            seed: Of the choice among tokens of nearly the same hardness.
        """
        generator = torch.Generator().manual_seed(seed)
        known, order = torch.cat(list(holdout)).sort(stable=True)
        self._twins = []
        for hardness in forget:
            first = torch.searchsorted(known, hardness.contiguous())
            last = torch.searchsorted(known, hardness.contiguous(), right=True)
            middle = torch.maximum(torch.minimum(first + (last - first) // 2, last - 1), first)
            # Tokens of equal hardness are equally near.
            spread = torch.clamp((last - first) // 2, min=_NEAR)
            step = torch.rand(hardness.shape, generator=generator) * (2 * spread + 1) - spread - 0.5
            place = (middle + step.round().long()).clamp(0, len(known) - 1)
            self._twins.append(order[place])
        self._place()

    def fix(self, losses: Sequence[Tensor]) -> None:
        """Without holdout rows: each token is its own twin.

        Args:
            losses: Of the answer tokens of each row to forget in a model that never saw them, in nats.
        """
        self._twins = list(torch.arange(sum(map(len, losses))).split([len(own) for own in losses]))
        self.losses = torch.cat(list(losses))
        self._place()

    def _place(self) -> None:
        counts = [len(twins) for twins in self._twins]
        self._places = list(torch.arange(sum(counts)).split(counts))
        self.corrections = torch.zeros(sum(counts))

    def correct(self, rows: Sequence[int], losses: Tensor) -> None:
        """Move the levels by half of what the losses miss of them, each tenth of the tokens by its mean.

        With `l_i` the uncorrected level of a token, `n_i` its loss and `m` the mean of `l_j - n_j` over the measured
        tokens in the same tenth of all levels, at least -1 and at most 1 nat: `c_i <- c_i + m / 2`; the level is then
        `max(l_i + c_i, 0)`.

        Args:
            rows: Numbers of the rows to forget that were measured.
            losses: Of their answer tokens in the model now, one row after the other, in nats.
        """
        levels = torch.cat([self.losses[twins] for twins in self._twins])
        bins = torch.empty(len(levels), dtype=torch.long)
        for number, tokens in enumerate(levels.argsort(stable=True).chunk(_BINS)):
            bins[tokens] = number
        places = torch.cat([self._places[row] for row in rows])
        missed = levels[places] - losses.to(levels)
        for number in bins[places].unique():
            mean = missed[bins[places] == number].mean()
            self.corrections[bins == number] += _GAIN * mean.clamp(-_MOST, _MOST)

    def of(self, batch: Mapping[str, Tensor], answers: Answers) -> Tensor:
        """Levels of the answer tokens of a batch to forget, as `Answers.level`.

        Args:
            batch: With the `row_id` of each row.
            answers: The model's outputs for it.
        """
        rows = [row for row in batch["row_id"].tolist() if row >= 0]
        if not rows:  # a placeholder batch
            return answers.nll.new_zeros(0)
        return torch.cat([self._of_row(row) for row in rows]).to(answers.nll)

    def _of_row(self, row: int) -> Tensor:
        return (self.losses[self._twins[row]] + self.corrections[self._places[row]]).clamp(min=0.0)

    def mean(self) -> float:
        """Mean level of all answer tokens to forget, in nats, without corrections."""
        return float(torch.cat([self.losses[twins] for twins in self._twins]).mean())

    @staticmethod
    def is_due(step: int) -> bool:
        """Whether the losses are measured again before this step, counted from 1; those of the first are known."""
        return step > 1 and (step - 1) % INTERVAL == 0
