"""One command in several processes, as torchrun and `accelerate launch` start them: the first one writes and speaks."""

import atexit
import os
import sys
import time
from typing import NoReturn

# A process that fails alone must say why; one that fails with all others, as for a wrong option, must not repeat what
# the first one says. Launchers end all processes within a second of the first failure.
_SECONDS_TO_BE_ENDED = 10.0


def process_index() -> int:
    """Number of this process among all of the command, from 0."""
    return int(os.environ.get("RANK") or 0)


def process_count() -> int:
    """How many processes run the command."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def is_first() -> bool:
    """Whether this is the process that writes files and speaks to the user."""
    return process_index() == 0


def wait_for_all() -> None:
    """Wait until every process has reached this call. Does nothing in a single one."""
    import torch.distributed as dist  # help and errors of options must not wait for torch

    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def say(text: str) -> None:
    """Write to standard output, in the first process only."""
    if is_first():
        sys.stdout.write(text)


def let_first_speak() -> str:
    """Wait if the first process may be about to report the same failure as this one.

    Returns:
        Text before this process's own message.
    """
    if is_first():
        return ""
    time.sleep(_SECONDS_TO_BE_ENDED)
    return f"process {process_index()}: "


def leave(status: int) -> NoReturn:
    """End this process of several at once.

    Without the interpreter's own shutdown, in which gloo's threads abort about three of a hundred processes, after all
    is written. What other libraries registered for the end is run.
    """
    if status == 0:
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
