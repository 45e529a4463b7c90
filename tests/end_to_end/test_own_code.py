"""Errors in the user's own weighting or objective: file and line first, in one line."""

import subprocess
import sys

import pytest

from .runs import run

MINE = """\
import torch


class Deep:
    unit = "token"

    def __call__(self, answers):
        return self.helper(answers.nll)

    def helper(self, nll):
        return {}["key"] + nll


class Refusing:
    def __init__(self, a=1):
        raise TypeError("no a")

    def __call__(self, answers):
        return answers.nll.sum()


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, nll):
        return nll.sum()

    @staticmethod
    def backward(ctx, gradient):
        raise IndexError("no gradient")


def backward(answers):
    return Backward.apply(answers.nll)


def wrong_size(answers):
    return answers.nll @ torch.ones(3)


def opens(answers):
    return open("nothing.txt")


def each(answers):
    return -answers.nll


def number(answers):
    return -float(answers.nll.detach().sum())


def detached(answers):
    return -answers.nll.detach().sum()


def divides(losses, gramian, *, step=0):
    return (1 / 0 if step > 1 else 1), 1


def not_finite(losses, gramian, *, step=0):
    return float("nan" if step > 1 else 1), 1.0


def three(losses, gramian, *, step=0):
    return (1, 2, 3) if step > 1 else (1, 1)


def raises(losses, gramian):
    raise ValueError("never")
"""
FORGET, RETAIN, WEIGH = "forget_objective", "retain_objective", "weighting"
SHAPE = "a floating-point tensor of shape () is wanted, the sum over the tokens of the batch, with its gradient"


def line_of(text: str) -> int:
    return 1 + MINE.splitlines().index(text)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("mine", "failing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "failing.py").write_text("x = 1\n[][0]\n")
    yield tmp_path
    for name in ("mine", "failing"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("option", "name", "status", "line", "said"),
    [
        (FORGET, "Deep", 1, '        return {}["key"] + nll', ", in helper: KeyError: 'key' (NGDIFF_TRACEBACK=1"),
        (RETAIN, "Deep", 1, '        return {}["key"] + nll', ", in helper: KeyError: 'key' (NGDIFF_TRACEBACK=1"),
        (FORGET, "Refusing", 2, '        raise TypeError("no a")', ", in __init__: TypeError: no a (in --forget"),
        (FORGET, "backward", 1, '        raise IndexError("no gradient")', ", in backward: IndexError: no gr"),
        (FORGET, "wrong_size", 1, "    return answers.nll @ torch.ones(3)", ", in wrong_size: RuntimeError: "),
        (FORGET, "opens", 1, '    return open("nothing.txt")', ", in opens: FileNotFoundError: [Errno 2]"),
        (FORGET, "each", 2, "def each(answers):", ": the objective each gave a tensor of shape ("),
        (FORGET, "number", 2, "def number(answers):", f": the objective number gave a float; {SHAPE}"),
        (FORGET, "detached", 2, "def detached(answers):", ": the objective detached gave a tensor without a g"),
        (WEIGH, "divides", 1, "    return (1 / 0 if step > 1 else 1), 1", ", in divides: ZeroDivisionError: division"),
        (WEIGH, "not_finite", 1, "def not_finite(losses, gramian, *, step=0):", ": the weighting mine:not_finite r"),
        (WEIGH, "three", 2, "def three(losses, gramian, *, step=0):", ": the weighting mine:three returned (1, 2"),
        (WEIGH, "raises", 2, '    raise ValueError("never")', ", in raises: ValueError: never (in --weighting mine"),
    ],
)  # fmt: skip
def test_file_and_line_come_first(material, here, option, name, status, line, said):
    outcome = run(*material.words(here / "u", max_steps=2, learning_rate=1e-4, **{option: f"mine:{name}"}))
    assert outcome.error.startswith(f"mine.py, line {line_of(line)}{said}")
    assert outcome.status == status


def test_a_module_that_fails_while_it_is_imported(material, here):
    outcome = run(*material.words(here / "u", weighting="failing:f"))
    said = "failing.py, line 2, in <module>: IndexError: list index out of range (while failing is imported, for "
    assert (outcome.status, outcome.error[: len(said)]) == (2, said)


def test_the_traceback_can_be_asked_for(material, here, monkeypatch):
    monkeypatch.setenv("NGDIFF_TRACEBACK", "1")
    with pytest.raises(KeyError, match="key"):
        run(*material.words(here / "u", max_steps=1, learning_rate=1e-4, forget_objective="mine:Deep"))


def test_an_error_of_ours_keeps_its_traceback(material, here):
    """Where no line of the user's own is to blame, nothing is hidden."""
    command = material.words(here / "u", max_steps=1)
    code = "from ngdiff.training import prepare; prepare.notice_start = None; from ngdiff.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "TypeError: 'NoneType' object is not callable" in done.stderr
