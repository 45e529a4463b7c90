"""Alternative answers to the questions of the forget set, such as "I don't know", and which row gets which when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.modeling.further_inputs import further_inputs

STREAM = 2  # of draws that share a seed and nothing else; 0 and 1 are those of `ngdiff.training.pairing`


def choices(rows: int, count: int, *, seed: int, epoch: int) -> list[int]:
    """For each row the number, below `count`, of its alternative answer in an epoch."""
    generator = torch.Generator().manual_seed((seed * 4 + STREAM) * 1_000_003 + epoch)
    return torch.randint(count, (rows,), generator=generator).tolist()


class EncodeAnswers(Protocol):
    """Rows and other answers to them -> encoded rows."""

    def __call__(self, rows: list[Row], answers: list[str]) -> list[dict[str, Any]]: ...


class AlternateRows:
    """Encoded rows with another answer in place of their own, by (row, choice).

    Which answer a row gets is a pure function of (seed, epoch, row), as the pairs are.

    Args:
        rows: The forget rows.
        answers: What they may be answered with.
        encode: Encodes rows with other answers.

    Raises:
        InputError: a row whose question leaves no room for the longest answer.
    """

    def __init__(self, rows: Sequence[Row], answers: Sequence[str], encode: EncodeAnswers) -> None:
        if not answers:
            raise InputError("there is no other answer to teach")
        self.rows, self.answers, self._encode = list(rows), list(answers), encode
        self._encoded: dict[int, dict[str, Any]] = {}
        longest = max(self.answers, key=len)
        encode(self.rows, [longest] * len(self.rows))  # fails now rather than in the third epoch

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        row, choice = place
        key = self.key(row, choice)
        if key not in self._encoded:
            (encoded,) = self._encode([self.rows[row]], [self.answers[choice]])
            self._encoded[key] = {**encoded, "row_id": key}
        return self._encoded[key]

    def key(self, row: int, choice: int) -> int:
        """One number for a row and an answer."""
        return row * len(self.answers) + choice

    def of_epochs(self, epochs: int, *, seed: int) -> Iterable[dict[str, Any]]:
        """Every encoded row that comes up in the first `epochs` epochs, each once."""
        drawn = {
            (row, choice)
            for epoch in range(epochs)
            for row, choice in enumerate(choices(len(self.rows), len(self.answers), seed=seed, epoch=epoch))
        }
        places = sorted(drawn)
        encoded = self._encode([self.rows[row] for row, _ in places], [self.answers[choice] for _, choice in places])
        for (row, choice), item in zip(places, encoded, strict=True):
            self._encoded[self.key(row, choice)] = {**item, "row_id": self.key(row, choice)}
        return [self[place] for place in places]


def side_by_side(own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The rows of two batches as one, padded on the right to the longer; for a single forward pass.

    Raises:
        InputError: a further input of the model that is not one value a token.
    """
    width = max(own["input_ids"].shape[1], other["input_ids"].shape[1])
    both = {}
    for name in ("input_ids", "attention_mask", "labels", *further_inputs(own)):
        parts = [batch[name] for batch in (own, other)]
        if any(part.shape != batch["input_ids"].shape for part, batch in zip(parts, (own, other), strict=True)):
            raise InputError(
                f"data_collator: `{name}` has not one value a token; an objective that teaches another answer puts "
                "rows of two batches side by side and cannot do so with it"
            )
        value = IGNORED if name == "labels" else 0
        padded = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=value) for part in parts]
        both[name] = torch.cat(padded)
    places, first = [], 0
    for batch in (own, other):
        rows, columns = batch["labels"].shape
        places.append((first + batch["label_positions"] // columns) * width + batch["label_positions"] % columns)
        first += rows
    return {**both, "label_positions": torch.cat(places)}


def split_rows(answers: Answers, rows: int) -> tuple[Answers, Answers]:
    """What a model said of the first `rows` rows of a batch, and of the others: undoes `side_by_side`."""
    first = answers.row < rows
    own, other = (
        replace(
            answers,
            nll=answers.nll[chosen],
            row=answers.row[chosen] - start,
            rows=count,
            labels=None if answers.labels is None else answers.labels[chosen],
            logits=None if answers.logits is None else answers.logits[chosen],
            hidden=None if answers.hidden is None else answers.hidden[chosen],
        )
        for chosen, start, count in ((first, 0, rows), (~first, rows, answers.rows - rows))
    )
    return own, other
