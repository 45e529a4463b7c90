"""`--max-retain-loss` and `--max-loss`: the loss above which a model counts as ruined."""

import math

from ngdiff.errors import InputError


def loss_bound(option: str | float, *, before: float, guessing: float, name: str) -> float:
    """The loss above which a model is ruined, in nats.

    Args:
        option: `auto`: half-way from `before` to `guessing`, and at least a fifth of `guessing` above `before`, since a
            model that guesses has nothing to lose; `none`: no bound, infinity; or a positive number.
        before: Loss before the run.
        guessing: That of random guessing, `ln V`.
        name: Of the option, for messages.

    Raises:
        InputError: another option.

    Example:
        >>> loss_bound("auto", before=0.5, guessing=8.5, name="--max-retain-loss")
        4.5
    """
    if option == "none":
        return math.inf
    if option == "auto":
        return before + max((guessing - before) / 2, guessing / 5)
    try:
        bound = float(option)
    except ValueError:
        bound = math.nan
    if not 0 < bound < math.inf:
        raise InputError(f"{name} {option} is none of auto, none or a positive number of nats")
    return bound


def check_loss_bound(option: str | float, name: str) -> None:
    """Refuse what `loss_bound` would.

    Raises:
        InputError: as `loss_bound`.
    """
    loss_bound(option, before=0.0, guessing=1.0, name=name)
