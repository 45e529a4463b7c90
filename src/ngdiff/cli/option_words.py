"""Split the arguments of a command line into options."""

from collections.abc import Collection, Mapping, Sequence

from ngdiff.errors import InputError
from ngdiff.option import dashed

# Option -> its arguments, including the option itself; empty if it is omitted.
OptionWords = dict[str, list[str]]


def take_options(words: Sequence[str], own: Collection[str]) -> tuple[list[str], list[str]]:
    """The arguments of a command's own options and before the first option, and those of all other options.

    Args:
        words: A command line.
        own: Names of the options that are the command's own.

    >>> take_options(["sweep.yaml", "--grid", "seed=0,1", "--max-steps", "3", "--jobs=2"], ["grid", "jobs"])
    (['sweep.yaml', '--grid', 'seed=0,1', '--jobs=2'], ['--max-steps', '3'])
    """
    taken: list[str] = []
    others: list[str] = []
    into = taken
    for word in words:
        if _is_option(word):
            into = taken if _name(word) in own or word == "-h" else others
        into.append(word)
    return taken, others


def options_in(words: Sequence[str], known: Collection[str] = ()) -> OptionWords:
    """Each option with its arguments.

    Args:
        words: A command line of options only.
        known: Names of options; an unknown `no-NAME` is the option NAME, turned off.

    Raises:
        InputError: an option that is given twice.

    >>> options_in(["--max-steps", "3", "--no-generate"], ["max_steps", "generate"])
    {'max_steps': ['--max-steps', '3'], 'generate': ['--no-generate']}
    """
    found: OptionWords = {}
    own: list[str] = []
    for word in words:
        if _is_option(word):
            name = _name(word)
            name = name if name in known else name.removeprefix("no_")
            if name in found:
                raise InputError(f"{dashed(name)} is given twice; give it once")
            own = found[name] = []
        own.append(word)
    return found


def words_for(values: Mapping[str, object]) -> list[str]:
    """A command line of options with their values, those that are None left out.

    >>> words_for({"forget": "f.jsonl", "max-length": None, "retain": "-r.jsonl"})
    ['--forget', 'f.jsonl', '--retain=-r.jsonl']
    """
    given = {f"--{name}": str(value) for name, value in values.items() if value is not None}
    # A value that begins with a dash would be taken for an option.
    pairs = ([f"{name}={text}"] if text.startswith("-") else [name, text] for name, text in given.items())
    return [word for pair in pairs for word in pair]


def as_words(options: Mapping[str, Sequence[str]]) -> list[str]:
    """The arguments of all options, in order."""
    return [word for own in options.values() for word in own]


def _is_option(word: str) -> bool:
    return word.startswith("--") or word == "-h"


def _name(word: str) -> str:
    return word.partition("=")[0].removeprefix("--").replace("-", "_")
