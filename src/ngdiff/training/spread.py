"""Some rows of a set, in place of all of them, where looking at all would take too long."""

# Rows whose losses are taken before and after a run: of the retain set at least as many, if it has them.
SAMPLE_ROWS = 256


def spread(total: int, count: int) -> list[int]:
    """Indices of `count` of `total` rows, evenly spread; all indices if there are no more.

    >>> spread(10, 4), spread(2, 4)
    ([0, 2, 5, 7], [0, 1])
    """
    count = min(total, count)
    return [i * total // count for i in range(count)]
