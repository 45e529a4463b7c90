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
    """Rows and alternative answers to them -> encoded rows."""

    def __call__(self, rows: list[Row], answers: list[str]) -> list[dict[str, Any]]: ...


class AlternateRows:
    """Encoded rows with an alternative answer in place of their own, by (row, choice).

    Which answer a row gets is a pure function of (seed, epoch, row), as the pairs are.

    Args:
        rows: The forget rows.
        answers: What each of them may be answered with; as many answers for one row as for any other.
        encode: Encodes rows with other answers.

    Raises:
        InputError: a row whose question leaves no room for its longest answer.
    """

    def __init__(self, rows: Sequence[Row], answers: Sequence[Sequence[str]], encode: EncodeAnswers) -> None:
        self.rows, self._encode = list(rows), encode
        self.take(answers)

    def take(self, answers: Sequence[Sequence[str]]) -> None:
        """Use these answers from now on. Arguments and errors are those of the class."""
        if not all(answers) or len({len(own) for own in answers}) != 1:
            raise InputError("each row needs another answer to teach, and each as many as any other")
        self.answers = answers
        self._encoded: dict[int, dict[str, Any]] = {}
        self._encode(self.rows, [max(own, key=len) for own in answers])  # fails now rather than in the third epoch

    @property
    def count(self) -> int:
        """Number of answers of each row."""
        return len(self.answers[0])

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        row, choice = place
        key = self.key(row, choice)
        if key not in self._encoded:
            (encoded,) = self._encode([self.rows[row]], [self.answers[row][choice]])
            self._encoded[key] = {**encoded, "row_id": key}
        return self._encoded[key]

    def longest(self, row: int) -> int:
        """Number of the row's longest answer."""
        return max(range(self.count), key=lambda choice: len(self.answers[row][choice]))

    def key(self, row: int, choice: int) -> int:
        """One number for a row and an answer."""
        return row * self.count + choice

    def of_epochs(self, epochs: int, *, seed: int) -> Iterable[dict[str, Any]]:
        """Every encoded row that the first `epochs` epochs use, each once."""
        drawn = {
            (row, choice)
            for epoch in range(epochs)
            for row, choice in enumerate(choices(len(self.rows), self.count, seed=seed, epoch=epoch))
        }
        places = sorted(drawn)
        encoded = self._encode(
            [self.rows[row] for row, _ in places], [self.answers[row][choice] for row, choice in places]
        )
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
    """Outputs for the first `rows` rows of a batch, and for the others: undoes `side_by_side`."""
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
