"""`python -m ngdiff.torchrun --nproc-per-node 8 unlearn ...`: torchrun, with the exit codes of ngdiff.

torchrun itself always fails with exit code 1 and a traceback of its own, and kills the processes half a minute after a
signal. This module forwards signals to the processes, waits until they end, and returns their exit code
(`ngdiff.exit_codes`). It accepts all options of torchrun.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import psutil
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from ngdiff import exit_codes
from ngdiff.exit_codes import DONE

# With these the processes have said what there is to say.
_SAID = {code for name, code in vars(exit_codes).items() if name.isupper()}
_ENDED_BY = "torch.distributed.elastic.multiprocessing.api"
_HANDED_ON = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command of ngdiff in several processes.

    Args:
        words: Options of torchrun, then the command and its options; those of this process by default.

    Returns:
        The exit code of the process that failed first, 128 + N where signal N ended it; 0 where none failed.
    """
    args = parse_args(list(sys.argv[1:] if words is None else words))
    if not args.module:  # else `-m ngdiff`, as one gives it to torchrun
        args.training_script_args = [args.training_script, *args.training_script_args]
        args.training_script, args.module = "ngdiff", True
    args.signals_to_handle = "SIGHUP,SIGQUIT"
    # That one process ended and others are stopped: its reason is the last line of what was said.
    logging.getLogger(_ENDED_BY).setLevel(logging.CRITICAL)
    before = {number: signal.signal(number, _hand_on) for name in _HANDED_ON if (number := getattr(signal, name, None))}
    try:
        run(args)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode not in _SAID:
            sys.stderr.write(f"{error}\n")
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:  # SIGHUP, SIGQUIT: torchrun has handed it on
        return 128 + int(error.sigval)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return DONE


def _hand_on(number: int, frame: FrameType | None) -> None:
    processes = psutil.Process().children()
    if not processes:  # none is started yet
        sys.exit(128 + number)
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:  # it has just ended
            continue


if __name__ == "__main__":
    sys.exit(main())
