"""Signals that ask a command to stop."""

import os
import signal
import time
from importlib import import_module

import pytest

from ngdiff.cli import compare
from ngdiff.cli.signals import Signals, StopNow
from ngdiff.exit_codes import INTERRUPTED

main_module = import_module("ngdiff.cli.main")  # `ngdiff.cli.main` is the function

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


class Collected:
    """Signals arrive while it is collected, where Python drops any exception."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self.numbers = numbers

    def __del__(self) -> None:
        for number in self.numbers:
            signal.raise_signal(number)


def collect(number: signal.Signals) -> None:
    Collected(number)
    time.sleep(10)


def ask_in_steps(signals: Signals) -> None:
    signals.request.phase = "steps"
    signal.raise_signal(signal.SIGTERM)
    collect(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_python_drops_comes_again(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    signals = Signals()
    with pytest.raises(StopNow), signals.heard():
        collect(number)
    assert signals.by == ("Ctrl-C" if number == signal.SIGINT else "SIGTERM")
    assert capsys.readouterr().err == ""


def test_so_does_the_second_one() -> None:
    signals = Signals()
    with pytest.raises(StopNow), signals.heard():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), signals.heard():
        ask_in_steps(signals)
    assert signals.at_once


def test_ctrl_c_once_more_while_the_end_is_told(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def run(words: list[str]) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(compare, "run", run)
    monkeypatch.setattr(main_module, "_interrupted", run)
    assert main_module.main(["compare"]) == INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_at_the_end_of_the_process_ctrl_c_is_ignored() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        with Signals().heard(ends_process=True):
            pass
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    with Signals().heard():
        pass
    assert signal.getsignal(signal.SIGINT) == before
