"""A bar for work on many rows."""

import io
import sys

import pytest

from ngdiff.data import progress
from ngdiff.data.progress import counted, with_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("screen", "shown"), [(Terminal(), True), (Terminal(), False), (io.StringIO(), True)])
def test_on_a_terminal_alone(screen, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    assert list(with_bar(iter("abc"), "encoding --forget", total=3, shown=shown)) == ["a", "b", "c"]
    assert ("encoding --forget" in screen.getvalue()) == (screen.isatty() and shown)


def test_not_for_a_moment(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(with_bar("abc", "encoding", total=3)) == ["a", "b", "c"]
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(("screen", "shown"), [(Terminal(), True), (Terminal(), False), (io.StringIO(), True)])
def test_what_has_no_known_number_is_counted(screen, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    with counted("searching", shown=shown, unit="loss") as count:
        for _ in range(3):
            count()
    assert ("searching: 3loss" in screen.getvalue()) == (screen.isatty() and shown)
