"""The terminal: which progress bars are shown there, and where their line ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def loading_bars_on_a_terminal_only() -> Iterator[None]:
    """Within, transformers shows its bars of loading and writing weights only where a person may watch them.

    The bars of runs and evaluations stay: they tell how far hours of work have come, also in a log file.
    """
    from transformers.utils import logging

    if sys.stderr.isatty() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def end_progress_bars() -> None:
    """End the bars of a run that failed, so that what is written next starts on a line of its own."""
    tqdm: Any = sys.modules.get("tqdm.std")  # not imported: no bar
    if tqdm is not None:
        for bar in list(tqdm.tqdm._instances):
            bar.close()
