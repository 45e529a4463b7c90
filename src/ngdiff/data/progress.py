"""Bars for long work, on a terminal alone, and only where it takes longer than a second."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 1.0  # before a bar is drawn
_INTERVAL = 0.1  # seconds between two states of one, tqdm's own


def with_bar(items: Iterable[T], description: str, *, total: int, shown: bool = True, unit: str = "row") -> Iterable[T]:
    """The items, as they come, with a bar on standard error that counts them.

    Args:
        items: One for each unit.
        description: In front of the bar.
        total: How many there are.
        shown: False: no bar on a terminal either.
        unit: Of the count.
    """
    from tqdm import tqdm  # most sets are read before it is needed

    bar: Iterable[T] = tqdm(
        items, description, total, unit=unit, leave=False, disable=None if shown else True, delay=_SECONDS
    )
    return bar


@contextmanager
def counted(description: str, *, shown: bool = True, unit: str) -> Iterator[Callable[[], None]]:
    """Within, a bar that counts something whose number is not known beforehand: the function counts one more.

    Args:
        description, shown, unit: As for `with_bar`.
    """
    from tqdm import tqdm

    with tqdm(
        desc=description,
        unit=unit,
        leave=False,
        disable=None if shown else True,
        delay=_SECONDS,
        mininterval=_INTERVAL,
    ) as bar:

        def one_more() -> None:
            bar.update()

        yield one_more
