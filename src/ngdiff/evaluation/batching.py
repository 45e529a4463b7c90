"""Which sequences share a batch."""

from collections.abc import Sequence


def batches_by_tokens(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Indices of `lengths`, longest first, cut into batches of at most `tokens_per_batch` padded tokens.

    A batch of m sequences costs `m * (its longest length)`. Sorting keeps the padding small; the longest come
    first, so that a batch that does not fit in memory fails at the start and not at the end. A sequence
    longer than the budget is a batch of its own. Equal lengths keep their order.

    >>> batches_by_tokens([2, 9, 3, 3], tokens_per_batch=6)
    [[1], [2, 3], [0]]
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and (len(batches[-1]) + 1) * width <= tokens_per_batch:
            batches[-1].append(index)
        else:
            width = lengths[index]
            batches.append([index])
    return batches
