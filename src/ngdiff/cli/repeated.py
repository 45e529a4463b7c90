"""Options that may be on a command line only once."""

import argparse
from collections.abc import Sequence

from ngdiff.errors import InputError
from ngdiff.option import dashed

# Sets and lists: if given twice, the first would be ignored silently. Of any other option the
# last one counts, as with most commands, so that a script can put its defaults in front.
_GIVEN_ONCE = (
    *("forget", "retain", "holdout", "protect", "sets", "train", "dataset"),
    *("idk_file", "lora_target_modules", "lm_eval"),
)


def refuse_repeated(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """If a set is given twice, one would be ignored.

    Args:
        parser: Knows the options.
        words: Of a command line.

    Raises:
        InputError: an option of `_GIVEN_ONCE` that is given twice.
    """
    given: set[str] = set()
    for word in words:
        action = parser._option_string_actions.get(word.partition("=")[0])
        if action is None or action.dest not in _GIVEN_ONCE or isinstance(action, argparse._AppendAction):
            continue
        if action.dest in given:
            many = action.nargs in ("+", "*")
            ways = "give all its values behind it once" if many else "give it once; a folder may hold several files"
            raise InputError(f"{dashed(action.dest)} is given twice, and one would be left out: {ways}")
        given.add(action.dest)
