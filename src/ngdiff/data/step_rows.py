"""How many rows of each set a step may have: a larger step than the sets would repeat rows within itself."""

# A step of so few rows takes little, however small the sets are.
_FEW = 64


def most_rows_of_a_step(forget: int, retain: int) -> int:
    """The most rows of each set that a step may have.

    A step has as many retain rows as `--per-device-train-batch-size`, micro-batches and processes make, of small sets
    the same ones several times: beyond the larger set that takes memory and time for nothing.

    Args:
        forget, retain: Number of rows that the model gets of each set.

    >>> most_rows_of_a_step(40, 360), most_rows_of_a_step(4, 12)
    (360, 64)
    """
    return max(forget, retain, _FEW)
