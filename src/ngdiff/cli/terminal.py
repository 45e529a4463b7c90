"""The terminal: which progress bars are shown there, where their line ends, and what a message looks like."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_hidden = False


class LineHandler(logging.StreamHandler[Any]):
    """Writes each message to standard error on a line of its own, also where a progress bar stands."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message; bars are cleared before and drawn again behind it."""
        tqdm: Any = sys.modules.get("tqdm.std")  # not imported: no bar
        if tqdm is None:
            super().emit(record)
            return
        with tqdm.tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def hear_messages() -> None:
    """Show the messages of all loggers, unless whoever called us shows them, and leave out warnings for developers."""
    logging.basicConfig(handlers=[LineHandler()], level=logging.WARNING)
    # peft 0.21 reads a name that transformers 5.23 renamed; a user can do nothing about it.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


@contextmanager
def loading_bars_on_a_terminal_only() -> Iterator[None]:
    """Within, transformers shows its bars of loading and writing weights only on a terminal.

    The bars of runs and evaluations stay: they tell how far hours of work have come, also in a log file.
    """
    global _hidden
    if "transformers" in sys.modules:  # else `hide_loading_bars` follows its import
        hide_loading_bars()
    try:
        yield
    finally:
        if _hidden:
            from transformers.utils import logging

            logging.enable_progress_bar()
            _hidden = False


def hide_loading_bars() -> None:
    """Hide them unless on a terminal; for functions that import transformers themselves."""
    global _hidden
    from transformers.utils import logging

    if not sys.stderr.isatty() and logging.is_progress_bar_enabled():
        logging.disable_progress_bar()
        _hidden = True


def end_progress_bars() -> None:
    """End the bars of a run that failed, so that the next output starts on a new line."""
    tqdm: Any = sys.modules.get("tqdm.std")  # not imported: no bar
    if tqdm is not None:
        for bar in list(tqdm.tqdm._instances):
            bar.close()
