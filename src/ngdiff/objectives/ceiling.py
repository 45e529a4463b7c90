"""The forget ceiling: a forget loss above which the forget gradient gets weight 0.

Not in the paper, but needed in practice: a normalised gradient does not become small, so the forget loss would rise far
beyond that of a model that never saw the rows, at the expense of the retain set.

The trainer compares the ceiling with the forget loss of the step's own effective batch. A mean over several steps would
lag behind a loss that rises by up to one nat per step, and overshoot the ceiling further.
"""

import math

from ngdiff.errors import InputError


def forget_ceiling(option: str | float | None, *, vocabulary: int, holdout_loss: float | None = None) -> float | None:
    """The ceiling in nats per token, or None for no ceiling.

    Args:
        option: `random`: the loss of uniform guessing, `ln(vocabulary)`; `holdout`: the mean loss on data never
            seen; `none`: no ceiling; or a positive number.
        vocabulary: Size of the vocabulary.
        holdout_loss: Mean loss on the holdout set before unlearning, if there is one.

    Raises:
        InputError: anything else, or `holdout` without a holdout set.

    Example:
        >>> round(forget_ceiling("random", vocabulary=4096), 3)
        8.318
    """
    if option is None or option == "none":
        return None
    if option == "random":
        return math.log(vocabulary)
    if option == "holdout":
        if holdout_loss is None:
            raise InputError("--forget-ceiling holdout needs --holdout: rows that the model has never seen")
        return holdout_loss
    try:
        ceiling = float(option)
    except ValueError:
        ceiling = math.nan
    if not (math.isfinite(ceiling) and ceiling > 0):
        raise InputError(f"--forget-ceiling {option} is none of random, holdout, none or a positive number of nats")
    return ceiling
