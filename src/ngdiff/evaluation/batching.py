"""Which sequences share a batch."""

from collections.abc import Sequence

TOKENS_PER_BATCH = 4096  # padding included, unless something else is asked for


def batches_by_tokens(
    lengths: Sequence[int], tokens_per_batch: int, *, first_by: Sequence[int] | None = None
) -> list[list[int]]:
    """Indices of `lengths`, longest first, cut into batches of at most `tokens_per_batch` padded tokens.

    A batch of m sequences takes time in proportion to `m * (its longest length)`. Sorting keeps the padding small; the
    longest come first, so that a batch that does not fit in memory fails at the start and not at the end. A sequence
    longer than the budget is a batch of its own. Equal lengths keep their order.

    Args:
        lengths: Tokens of each sequence.
        tokens_per_batch: The budget.
        first_by: Sorted by this before the length, largest first, if something else decides how long a batch takes.

    >>> batches_by_tokens([2, 9, 3, 3], tokens_per_batch=6)
    [[1], [2, 3], [0]]
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-first_by[i] if first_by else 0, -lengths[i])):
        if batches and (len(batches[-1]) + 1) * max(width, lengths[index]) <= tokens_per_batch:
            batches[-1].append(index)
            width = max(width, lengths[index])
        else:
            width = lengths[index]
            batches.append([index])
    return batches
