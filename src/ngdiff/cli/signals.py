"""Signals that ask a command to stop: Ctrl-C, SIGTERM (Slurm, Kubernetes), SIGUSR1 and SIGUSR2 (`sbatch --signal`).

A run that is training ends after its step with a checkpoint (`ngdiff.training.stopping`); anything else ends at once.
The second Ctrl-C always ends at once. Only Ctrl-C counts twice: launchers and batch systems may send one signal each.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from ngdiff.cli.processes import is_first

if TYPE_CHECKING:  # help must not wait for torch
    from ngdiff.training.stopping import StopRequest

# SIGHUP is left alone: without its terminal a run cannot write its progress; that is what nohup and tmux are for.
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
_SOON = 0.02  # seconds
_IN_STEPS = "the run ends after this step, with a checkpoint (Ctrl-C once more: at once)"
_AFTER = "the last step is done: the run ends when all is written (Ctrl-C once more: at once)"


class StopNow(KeyboardInterrupt):
    """A signal came while the command may end at once; the text is the name of the signal."""


class Signals:
    """The signals that a command received, and the state that determines its reaction.

    Attributes:
        resumable: Whether `--resume` can continue in the folder of the run, if only from the beginning.
        at_once: Whether Ctrl-C came after another signal: the command ends without finishing its step.
    """

    def __init__(self) -> None:
        self.resumable = self.at_once = False
        self._by: str | None = None
        self._number = self._process = 0
        self._again: threading.Timer | None = None
        self._hook = sys.unraisablehook
        self._request: StopRequest | None = None

    @property
    def request(self) -> "StopRequest":
        """For the trainer; a new one for each command."""
        if self._request is None:
            from ngdiff.training.stopping import StopRequest

            self._request = StopRequest()
        return self._request

    @property
    def by(self) -> str | None:
        """Name of the first signal that came."""
        return self._by

    @contextmanager
    def heard(self, *, ends_process: bool = False) -> Iterator[None]:
        """Within the context, signals are handled; Python handles none outside the main thread.

        Args:
            ends_process: Nothing but the end of the process follows: then Ctrl-C is ignored, which would add a
                traceback and another exit code.
        """
        self.resumable = self.at_once = False
        self._by, self._request, self._process = None, None, os.getpid()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {}
        for name in _NAMES:
            number = getattr(signal, name, None)  # Windows knows two of them
            # An ignored signal stays ignored, as for a background command of a script.
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, self._hear)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        try:
            yield
        finally:
            sys.unraisablehook = self._hook
            if self._again is not None:
                self._again.cancel()
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if ends_process and number == signal.SIGINT else handler)

    def end_at_sigterm(self) -> None:
        """From here on SIGTERM ends the process: it has failed, and has nothing to finish when a launcher ends it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _unraisable(self, lost: "sys.UnraisableHookArgs") -> None:
        """Python drops an exception raised while it collects an object: send the signal once more, a bit later."""
        if not issubclass(lost.exc_type, KeyboardInterrupt) or os.getpid() != self._process:
            return self._hook(lost)
        if not self.at_once:
            self._by = None
        self._again = threading.Timer(_SOON, os.kill, (self._process, self._number))
        self._again.daemon = True
        return self._again.start()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker of a data loader: it ends with the process that it works for
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        again, self._number = self._by is not None, number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if again and number == signal.SIGINT:
            self.at_once = True
            raise KeyboardInterrupt
        if again:
            return
        self._by = name
        phase = "before" if self._request is None else self._request.phase
        if phase == "before":
            raise StopNow(name)
        self.request.by = name
        if is_first():  # not by sys.stderr, which may be in the middle of a line of this very thread
            os.write(2, f"\nngdiff: {name}: {_IN_STEPS if phase == 'steps' else _AFTER}\n".encode())


SIGNALS = Signals()
