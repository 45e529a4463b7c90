"""How `ngdiff` starts and ends: exit codes, and errors of one line."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tqdm import tqdm
from transformers.utils import logging

import ngdiff
from ngdiff.cli import main
from ngdiff.cli.main import COMMANDS, IN_SEVERAL_PROCESSES
from ngdiff.errors import InputError


def test_version(capsys):
    for word in ("--version", "-V"):
        assert main([word]) == 0
        assert capsys.readouterr().out == f"ngdiff {ngdiff.__version__}\n"


def test_usage(capsys):
    for words in (["--help"], ["-h"], ["help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert out.startswith("usage: ngdiff COMMAND")
        assert all(f"  {name} " in out and what in out for name, (_, what) in COMMANDS.items())


def test_without_a_command_usage_and_status_2(capsys):
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: ngdiff COMMAND")


def test_unknown_command(capsys):
    assert main(["forget", "--model", "m"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"ngdiff: error: forget is no command; one of {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: ngdiff {command} [options]")


def raising(error: BaseException) -> Callable[[list[str]], None]:
    def run(words: list[str]) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("a.jsonl, line 3: no"), 2, "a.jsonl, line 3: no"),
        (InputError("two\nlines"), 2, "two lines"),
        (
            FloatingPointError("step 3: the loss of the forget set is nan"),
            1,
            "step 3: the loss of the forget set is nan",
        ),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line_and_a_status(error, status, line, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ngdiff.cli.evaluate.run", raising(error))
    assert main(["evaluate"]) == status
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"ngdiff: error: {line}\n")


def test_an_error_starts_on_its_own_line_after_a_progress_bar(capsys, monkeypatch: pytest.MonkeyPatch):
    bars = []  # held, as a traceback holds the trainer's

    def run(words: list[str]) -> None:
        bars.append(tqdm(total=3))
        bars[-1].update()
        raise InputError("no")

    monkeypatch.setattr("ngdiff.cli.evaluate.run", run)
    assert main(["evaluate"]) == 2
    err = capsys.readouterr().err
    assert "1/3" in err
    assert err.endswith("\nngdiff: error: no\n")


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_bars_of_loading_are_for_terminals(terminal, shown, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr("ngdiff.cli.evaluate.run", lambda words: seen.append(logging.is_progress_bar_enabled()))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert logging.is_progress_bar_enabled()
    assert main(["evaluate"]) == 0
    assert seen == [shown]
    assert logging.is_progress_bar_enabled()  # as it was


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*IN_SEVERAL_PROCESSES}))
def test_several_processes_are_refused(command, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"ngdiff.cli.{command}.run", raising(AssertionError("it ran")))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([command, "--model", "m"]) == 2
    assert capsys.readouterr().err == (
        f"ngdiff: error: WORLD_SIZE is 2, and ngdiff {command} runs in one process: several would write the same "
        f"files. In several run {', '.join(IN_SEVERAL_PROCESSES)}\n"
    )


@pytest.mark.parametrize("command", IN_SEVERAL_PROCESSES)
def test_one_of_several_names_itself_and_lets_the_first_speak(command, capsys, monkeypatch: pytest.MonkeyPatch):
    waited = []
    monkeypatch.setattr(f"ngdiff.cli.{command}.run", raising(InputError("no such file")))
    monkeypatch.setattr("ngdiff.cli.processes.time.sleep", waited.append)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, prefix in (("0", ""), ("1", "process 1: ")):
        monkeypatch.setenv("RANK", rank)
        assert main([command]) == 2
        assert capsys.readouterr().err == f"ngdiff: error: {prefix}no such file\n"
    assert len(waited) == 1


@pytest.mark.parametrize("size", ["", "1"])
def test_one_process_under_a_launcher_is_welcome(size, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ngdiff.cli.unlearn.run", lambda words: None)
    monkeypatch.setenv("WORLD_SIZE", size)
    assert main(["unlearn"]) == 0


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ngdiff.cli.evaluate.run", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["evaluate"])


def run_python(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, check=False)


def test_as_a_program():
    """The real thing: `python -m ngdiff`, its status and its streams."""
    done = run_python("-m", "ngdiff", "evaluate", "--modell", "m")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "ngdiff: error: --modell is no option of ngdiff evaluate; did you mean --model?\n"


def test_help_does_not_wait_for_torch():
    program = "import sys; from ngdiff.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr


def test_arguments_default_to_those_of_the_process(monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(sys, "argv", ["ngdiff", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("ngdiff ")
