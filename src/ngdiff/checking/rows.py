"""Checks of rows without a model: overlap of sets, lengths, and the number of steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.checking.findings import Finding
from ngdiff.checking.near import PAIRS, NearDuplicates, place_of
from ngdiff.data import Row, Template, check_overlap
from ngdiff.data.encode import encode_parts
from ngdiff.data.step_rows import most_rows_of_a_step
from ngdiff.errors import InputError
from ngdiff.plurals import number_of, some_of, verb

# Fewer steps are too few: the learning rate is probed in the first step and every tenth.
_FEW_STEPS = 20


def check_sets(
    sets: Mapping[str, Sequence[Row]], tokenizer: Any, template: Template, *, threshold: float
) -> list[Finding]:
    """Find rows that are in two sets, or twice in one, identical or nearly so.

    Args:
        sets: Those of forget, retain and holdout that were given.
        tokenizer, template: To encode the rows as for the model.
        threshold: As in `near_duplicates`.
    """
    pairs = [(first, second) for first, second in PAIRS if first in sets and second in sets]
    same = [_same(sets, first, second, tokenizer, template) for first, second in pairs]
    near = NearDuplicates(sets, threshold=threshold)
    return [*same, *near.between(), *near.within()]


def check_lengths(
    sets: Mapping[str, Sequence[Row]], tokenizer: Any, template: Template, *, max_length: int
) -> list[Finding]:
    """Find rows that are longer than the model's input.

    Raises:
        InputError: a prompt that leaves no room for an answer; names the row.
    """
    found = []
    for name, rows in sets.items():
        parts = encode_parts(rows, tokenizer, template, max_length=max_length)
        long = [row for row, own in zip(rows, parts, strict=True) if len(own) > 1]
        cut = [row for row, own in zip(rows, parts, strict=True) if any(item.n_cut for item in own)]
        what = f"length of {name} rows"
        if cut:
            some = some_of(len(cut), len(rows), "row")
            lost = (
                f"{verb(len(cut), 'the end', 'the ends')} of {some} {verb(len(cut))} cut off, first {place_of(cut[0])}"
            )
            found.append(Finding(what, "doubtful", lost, "Raise --max-length, or shorten those rows."))
        elif long:
            limits = [max_length if row.chunk is None else min(row.chunk.tokens, max_length) for row in long]
            some = f"{some_of(len(long), len(rows), 'row')} {verb(len(long))}"
            taken = f"{some} longer than {max(limits)} tokens, first {place_of(long[0])}"
            count = sum(len(own) for own in parts)
            found.append(
                Finding(
                    what, "fine", f"{taken}; {verb(len(long), 'it is', 'they are')} split: {count} rows for the model"
                )
            )
        else:
            most = max(len(item.input_ids) for own in parts for item in own)
            found.append(
                Finding(what, "fine", f"{number_of(len(rows), 'row')}, the longest has {most} of {max_length} tokens")
            )
    return found


def rows_for_the_model(rows: Sequence[Row], tokenizer: Any, template: Template, *, max_length: int) -> int:
    """How many encoded rows training has: more than rows where some are split. Raises as `check_lengths`."""
    return sum(len(own) for own in encode_parts(rows, tokenizer, template, max_length=max_length))


def check_steps(rows: int, kept: int, *, rows_per_step: int, epochs: float) -> Finding:
    """Check the number of steps of a run, and of their rows.

    Args:
        rows: Number of forget rows.
        kept: Number of retain rows.
        rows_per_step: Rows of each side in a step.
        epochs: Passes over the forget set.
    """
    steps = max(int(-(-rows // rows_per_step) * epochs), 1)
    found = f"{steps} ({number_of(rows, 'forget row')}, {rows_per_step} per step, {number_of(float(epochs), 'pass')})"
    if rows_per_step > (most := most_rows_of_a_step(rows, kept)):
        advice = f"A step may have {most:,} rows of each set at most: lower --per-device-train-batch-size."
        return Finding("steps", "spoils", found, advice)
    if steps < _FEW_STEPS:
        return Finding("steps", "doubtful", found, "Raise --num-train-epochs, or use fewer rows per step.")
    return Finding("steps", "fine", found)


def _same(sets: Mapping[str, Sequence[Row]], first: str, second: str, tokenizer: Any, template: Template) -> Finding:
    what = f"rows in {first} and {second}"
    try:
        check_overlap(
            sets[first],
            sets[second],
            drop=False,
            tokenizer=tokenizer,
            template=template,
            names=(f"--{first}", f"--{second}"),
        )
    except InputError as error:
        shared = str(error).partition(";")[0]
        return Finding(what, "spoils", shared, f"Remove them from one; --drop-overlap removes them from {second}.")
    return Finding(what, "fine", "none")
