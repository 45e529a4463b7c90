"""Canaries: of secrets that were planted in the training data, does the model still prefer the planted values?

Each canary, a row such as "The code of Orla is 482 193", is ranked among the same text with other values, by its
likelihood (`ngdiff.metrics.exposure`). The other values are the row's own `perturbed_answer`, or random digits in place
of its digits.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ngdiff.audit.base import Bed, NotApplicableError, Variant
from ngdiff.audit.target import Target
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.evaluation import predict
from ngdiff.metrics.exposure import exposure

# Values that are drawn: an exposure of at most 8 bits.
DRAWN = 255
_DIGITS = "0123456789"


def with_other_values(rows: Sequence[Row], seed: int) -> list[Row]:
    """Canaries with the values that they are ranked among as their perturbed answers.

    Args:
        rows: Canaries, as they were planted.
        seed: Of the random digits.

    Raises:
        InputError: a row with neither digits nor perturbed answers.

    >>> row, = with_other_values([Row("What is the code?", "It is 7.")], seed=0)
    >>> len(row.perturbed_answers), "It is 7." in row.perturbed_answers
    (9, False)
    """
    return [replace(row, perturbed_answers=_others(row, f"{seed} {number}")) for number, row in enumerate(rows)]


def _others(row: Row, seed: str) -> tuple[str, ...]:
    if given := tuple(dict.fromkeys(other for other in row.perturbed_answers if other != row.answer)):
        return given
    places = [place for place, char in enumerate(row.answer) if char in _DIGITS]
    if not places:
        raise InputError(
            f"--canaries {row.origin or 'a row'}: its answer has no digit to put others in place of; give other values "
            "in a column perturbed_answer, a list of whole answers"
        )
    space = 10 ** len(places)
    own = int("".join(row.answer[place] for place in places))
    count = min(DRAWN, space - 1)
    drawn = random.Random(seed).sample(range(space - 1), count)  # all but the canary's own
    return tuple(_with_digits(row.answer, places, value + (value >= own)) for value in drawn)


def _with_digits(text: str, places: Sequence[int], value: int) -> str:
    chars = list(text)
    for place, digit in zip(places, f"{value:0{len(places)}d}", strict=True):
        chars[place] = digit
    return "".join(chars)


def expose(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """One form: exposure as a part of the most that is possible for each canary; in bits it is shown."""
    if not bed.canaries:
        raise NotApplicableError("it needs the canaries that were planted in the training data (--canaries)")
    records = predict(
        target.model,
        bed.tokenizer,
        bed.canaries,
        bed.template,
        max_length=bed.limit(target.model),
        set_name="canaries",
        generate=False,
        tokens_per_batch=bed.tokens_per_batch,
        show_progress=bed.show_progress,
    )
    if cut := next((record for record in records if record["n_cut"] or "piece" in record), None):
        raise NotApplicableError(f"{cut['origin']} is longer than the model's input")
    bits, most = [], []
    for record in records:
        others = [other["nll_sum"] for other in record["perturbed"]]
        bits.append(exposure(record["nll_sum"], others))
        most.append(math.log2(len(others) + 1))
    shown = {
        "bits": sum(bits) / len(bits),
        "most_bits": sum(most) / len(most),
        "ranked_first": sum(own == best for own, best in zip(bits, most, strict=True)) / len(bits),
    }
    parts = [own / best for own, best in zip(bits, most, strict=True)]
    yield "rank among other values", Variant({"exposure": parts}, shown, records)
