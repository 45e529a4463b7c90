"""`ngdiff COMMAND ...`: which command, and how it ends."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ngdiff import __version__
from ngdiff.cli.processes import is_first, leave, let_first_speak, process_count
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.terminal import end_progress_bars, hear_messages, loading_bars_on_a_terminal_only
from ngdiff.errors import InputError, RuinedModelError, StoppedBySignal, VerdictError, WriteError
from ngdiff.exit_codes import BAD_INPUT, DONE, FAILED, INTERRUPTED, RUINED_MODEL, STOPPED_RESUMABLE
from ngdiff.imports import OwnCodeError, own_code_named

# Command -> module of this package with `run(arguments)`, and what it does. Imported when called: help is instant.
COMMANDS: dict[str, tuple[str, str]] = {
    "unlearn": ("unlearn", "make a model forget one set of rows and keep another"),
    "evaluate": ("evaluate", "measure what a model knows of each set"),
    "score": ("score", "recompute all metrics from the records of an evaluation, without a model"),
    "compare": ("compare", "put several evaluations into one table"),
    "audit": ("audit", "attack a model that has unlearned: does it stay forgotten?"),
    "report": ("report", "one page on a request to forget, to hand over"),
    "finetune": ("finetune", "train a model on rows until it recites them"),
    "check": ("check", "before a run: are its rows known, apart from each other and enough?"),
    "sweep": ("sweep", "unlearn with every combination of options, evaluate each, one table"),
    "reproduce": ("reproduce", "repeat tables and figures of the paper, ours beside theirs"),
    "clean": ("clean", "remove checkpoints of runs that are done"),
    "ledger": ("ledger", "list the requests to forget that led to an output"),
    "verify": ("verify", "hash again all that a run read and wrote"),
    "sign": ("sign", "sign the manifest of a run with your own key"),
    "merge": ("merge", "merge an adapter into its base model: a whole model for other programs"),
    "ask": ("ask", "ask a model; with --versus, two side by side"),
    "push": ("push", "upload a model and its card to the Hugging Face hub"),
    "methods": ("methods", "list every method, weighting, objective and optimizer"),
    "demo": ("demo", "the whole story on built-in data, in a minute or two"),
}

IN_SEVERAL_PROCESSES = ("unlearn", "evaluate", "finetune")

USAGE = """\
usage: ngdiff COMMAND [options]

Make a trained language model forget one set of rows and keep another.

commands:
{commands}

  ngdiff COMMAND --help      options of a command
  ngdiff COMMAND --help-all  all of them by topic, with those of transformers' training arguments
  ngdiff --version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, one of `ngdiff.exit_codes`.

    One of several processes does not return: see `ngdiff.cli.processes.leave`.

    Args:
        arguments: Words after `ngdiff`; those of the process by default.
    """
    if arguments is not None:
        return _main(list(arguments))
    status = _main(sys.argv[1:], ends_process=True)
    if process_count() > 1:
        leave(status)
    return status


def _main(words: list[str], *, ends_process: bool = False) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return DONE if words else BAD_INPUT
    if words[0] in ("--version", "-V"):
        sys.stdout.write(f"ngdiff {__version__}\n")
        return DONE
    if words[0] not in COMMANDS:
        return _fail(f"{words[0]} is no command; one of {', '.join(COMMANDS)}", BAD_INPUT)
    if words[0] not in IN_SEVERAL_PROCESSES and process_count() > 1:  # torchrun and its like set it
        several = ", ".join(IN_SEVERAL_PROCESSES)
        return _fail(
            f"WORLD_SIZE is {process_count()}, and ngdiff {words[0]} runs in one process: several would write the same "
            f"files. In several run {several}",
            BAD_INPUT,
        )
    hear_messages()
    logging.getLogger("ngdiff").setLevel(logging.INFO if is_first() else logging.ERROR)
    with SIGNALS.heard(ends_process=ends_process):
        try:
            return _run(words)
        except KeyboardInterrupt:  # once more, while the end was told
            return INTERRUPTED


def _run(words: list[str]) -> int:
    try:
        run: Callable[[list[str]], None] = import_module(f"ngdiff.cli.{COMMANDS[words[0]][0]}").run
        with loading_bars_on_a_terminal_only(), own_code_named():
            run(words[1:])
        if fault := _fault_of_output():
            return _fail(fault, FAILED)
    except StoppedBySignal as stopped:
        if not stopped.resumable:
            return _stop(str(stopped), INTERRUPTED)
        return _stop(f"{stopped}: continue with {_resume(words)}", STOPPED_RESUMABLE)
    except InputError as error:
        from ngdiff.cli.begun_by_other_version import advice

        return _fail(f"{error}{advice(words)}", BAD_INPUT)
    except OwnCodeError as error:
        return _fail(str(error), FAILED)
    except RuinedModelError as error:
        return _fail(str(error), RUINED_MODEL)
    except VerdictError as error:
        return _fail(str(error), error.status)
    except WriteError as error:
        error.then = f"continue with {_resume(words)}" if SIGNALS.resumable else "start again"
        return _fail(str(error), FAILED)
    except (FloatingPointError, OSError) as error:  # numbers that ran away, a full disk: the message says it all
        # Errors of standard output name no file.
        named = isinstance(error, FloatingPointError) or error.filename is not None or sys.stdout is not sys.__stdout__
        return _fail(str(error) if named else _fault_of_output("\n") or str(error), FAILED)
    except RuntimeError:  # of one of several: the connection to a process that failed is gone
        try:
            let_first_speak()
        except KeyboardInterrupt:  # the launcher ends this process, too
            return _interrupted(words)
        if SIGNALS.by is None:
            raise
        return _interrupted(words)
    except KeyboardInterrupt:
        return _interrupted(words)
    return DONE


def usage() -> str:
    """The text of `ngdiff --help`."""
    return USAGE.format(commands="\n".join(f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items()))


def _fault_of_output(probe: str = "") -> str:
    """Why standard output cannot be written; empty where it can.

    A table may go to a file on a full disk. It fails now, and not without a word when Python ends. What did not fit is
    gone from the buffer: after a failure something has to be written to find the fault again.
    """
    try:
        sys.stdout.write(probe)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in its buffer goes nowhere
        return f"the output could not be written ({error.strerror})"
    return ""


def _interrupted(words: list[str]) -> int:
    if SIGNALS.resumable and not SIGNALS.at_once:
        return _stop(f"stopped by {SIGNALS.by or 'Ctrl-C'}: continue with {_resume(words)}", STOPPED_RESUMABLE)
    return _stop(
        "error: interrupted" + (f" by {SIGNALS.by}" if SIGNALS.by not in (None, "Ctrl-C") else ""), INTERRUPTED
    )


def _resume(words: list[str]) -> str:
    overwrote = any(word.partition("=")[0] == "--overwrite" for word in words)
    return "--resume in place of --overwrite" if overwrote else "--resume"


def _stop(message: str, status: int) -> int:
    """The end of a run that was asked to stop: all of its processes were, and the first one speaks."""
    end_progress_bars()
    if is_first():
        sys.stderr.write(f"ngdiff: {message}\n")
    return status


def _fail(message: str, status: int) -> int:
    end_progress_bars()
    if not is_first():
        SIGNALS.end_at_sigterm()
    prefix = let_first_speak()
    sys.stderr.write(
        f"ngdiff: error: {prefix}{' '.join(message.split())}\n"
    )  # one line, whatever a library put into it
    return status
