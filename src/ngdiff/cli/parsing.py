"""Options from dataclasses: on the command line, in a YAML file, and explained.

Every option is a field of a dataclass with its help in `metadata["help"]`. Names are accepted with dashes and with
underscores. Fields inherited from transformers' TrainingArguments are accepted like our own and listed by
`--help-all`.
"""

import argparse
import copy
import dataclasses
import json
import logging
import re
import sys
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from ngdiff.cli.config_file import read_config
from ngdiff.cli.help_text import OFTEN_USED, help_text
from ngdiff.cli.hf_parser import HfArgumentParser, string_to_bool
from ngdiff.cli.near_names import SHORT, nearest
from ngdiff.cli.repeated import refuse_repeated
from ngdiff.cli.values import check_values, leave_out_none
from ngdiff.errors import InputError
from ngdiff.option import ACCEPTED, dashed
from ngdiff.option import option as option  # for the commands, beside their parser

# Values of a switch that transformers accepts.
_TRUTH_WORDS = {"yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"}


class CommandParser:
    """Parses the words after `ngdiff COMMAND` into dataclasses.

    Args:
        command: Name of the command.
        summary: What it does, first paragraph of its help.
        groups: Title of a group in the help -> a dataclass whose fields are its options. Those of a base that has
            a title of its own are listed there.
        required: Names of fields without which nothing runs.
        words: Name of the words that are no option, such as "runs": at least one then, a list in the values.
        repeated: Names of lists that take one value each time they are given, so that words may follow.
        made: Names of sets that the command makes where they are not given; `none` says that it does not.
        refused: Names of options that a user may expect -> why there are none. The help leaves them out.
        short: Names of the options that `--help` shows; by default all but inherited ones.
        example: Command lines that `--help` shows above them.
    """

    def __init__(
        self,
        command: str,
        summary: str,
        groups: Mapping[str, type],
        *,
        required: Sequence[str],
        words: str | None = None,
        repeated: Sequence[str] = (),
        made: Sequence[str] = (),
        refused: Mapping[str, str] | None = None,
        short: Sequence[str] = (),
        example: str = "",
    ) -> None:
        self.short, self.example = list(short), example
        self.refused = dict(refused or {})
        self.words, self.made = words, list(made)
        self.command, self.summary, self.required = command, summary, list(required)
        self.groups = dict(groups)
        whole = [kind for kind in self.groups.values() if not any(kind in _bases(k) for k in self.groups.values())]
        whole.sort(key=lambda kind: not self.inherited_by(kind))  # options of ours replace those of their name
        self._parser = _RaisingParser(whole, prog=f"ngdiff {command}")
        # Name of an option -> its action, without the `--no-x` that every `--x` with default true also has.
        self._actions = {
            action.option_strings[0].removeprefix("--"): action
            for action in self._parser._actions
            if not isinstance(action, argparse._StoreFalseAction)
        }
        # The same and the short names -> option.
        self._options = {
            word.removeprefix("--").replace("-", "_"): name
            for name, action in self._actions.items()
            for word in action.option_strings
        }
        optional = {name for kind in self.groups.values() for name in _optional(kind)}
        for action in self._parser._actions:
            if action.dest in repeated:
                action.__class__, action.nargs = argparse._AppendAction, None
            action.default = argparse.SUPPRESS  # the dataclasses know their defaults
            if action.dest == "learning_rate":
                action.type = str  # a number, or auto
            elif action.dest in optional and callable(action.type) and not action.choices:
                action.type = _or_none(action.type)
            if action.type is string_to_bool or getattr(action.type, "__name__", "") == string_to_bool.__name__:
                action.nargs, action.const = "?", True  # the name alone means true, also where none is a value
        if "output_dir" in self._actions:  # as transformers' users type it
            self._actions["output_dir"].dest = "output"

    def parse(self, words: Sequence[str]) -> dict[str, Any] | None:
        """Values of the options that were given; None where help was asked for and printed.

        Raises:
            InputError: unknown options or values, named; a required option left out.
        """
        if "--help-all" in words or "--help" in words or "-h" in words:
            sys.stdout.write(self.help(everything="--help-all" in words))
            return None
        words, file = _take_config(list(words))
        refuse_repeated(self._parser, words)
        if file is not None:
            known = self.words_of(read_config(file), f"--config {file}")
            words = [word for own in known.values() for word in own] + words  # the command line comes later and wins
        for word in words:
            if not word.isascii():
                try:
                    word.encode()
                except UnicodeEncodeError as error:  # bytes of another encoding, half a surrogate pair
                    raise InputError(f"{word!r} is not UTF-8 text") from error
        namespace, rest = self._parser.parse_known_args(self._switches_apart(words))
        values = vars(namespace)
        leave_out_none(self.groups.values(), values, self.command, needed=self.required, kept=self.made)
        unknown = [word for word in rest if self.words is None or word.startswith("-")]
        if unknown:
            word = unknown[0].partition("=")[0]  # what follows may be a secret
            if reason := self.refused.get(word.lstrip("-").replace("-", "_")):
                raise InputError(reason)
            if not word.startswith("-"):
                raise InputError(
                    f"{word}: ngdiff {self.command} takes options alone, each with one value; a value with spaces, or "
                    "that the shell would expand (*), goes in quotation marks"
                )
            raise InputError(f"{word} is no option of ngdiff {self.command}{self._similar(word)}")
        missing = [dashed(name) for name in self.required if values.get(name) is None]
        if self.words is not None:
            values[self.words] = rest
            missing += [] if rest else [f"{self.words.upper()}..."]
        if missing:
            raise InputError(f"ngdiff {self.command} needs {', '.join(missing)}")
        check_values(self.groups.values(), values, words=self.words)
        return values

    def only_word(self, values: Mapping[str, Any]) -> str:
        """The word that is no option, of a command that takes one.

        Raises:
            InputError: several were given.
        """
        given: list[str] = values[str(self.words)]
        if len(given) != 1:
            raise InputError(f"ngdiff {self.command} takes one {self.words}, not {len(given)}")
        return given[0]

    def _switches_apart(self, words: list[str]) -> list[str]:
        """`--overwrite FILE` as `--overwrite=true FILE` where words are taken that are no option."""
        if self.words is None:
            return words
        apart = list(words)
        for index, (word, following) in enumerate(zip(words, [*words[1:], ""], strict=False)):
            action = self._parser._option_string_actions.get(word)
            if action is not None and action.nargs == "?" and following.lower() not in _TRUTH_WORDS:
                apart[index] = f"{word}=true"
        return apart

    def build(self, kind: type, values: Mapping[str, Any], **more: Any) -> Any:
        """An instance of one of the dataclasses from parsed values; its own checks run.

        Raises:
            InputError: a check fails, be it ours or one of transformers.
        """
        names = {field.name for field in dataclasses.fields(kind) if field.init}
        try:
            return kind(**{**{name: value for name, value in values.items() if name in names}, **more})
        except InputError:
            raise
        except (ValueError, TypeError) as error:  # how transformers refuses arguments
            raise InputError(f"ngdiff {self.command}: {error}") from error

    def checked(self, kind: type, values: Mapping[str, Any], **more: Any) -> Any:
        """As `build`, of arguments of a trainer that is made later, which repeats their warnings.

        Raises:
            InputError: as `build`.
        """
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            return self.build(kind, values, **more)
        finally:
            logging.disable(before)

    def help(self, *, everything: bool = False) -> str:
        """The text of `--help`, or of `--help-all` where `everything` is asked for."""
        return help_text(self, everything=everything)

    def hidden_of(self, kind: type) -> set[str]:
        """Names of a dataclass's options that its group does not show: those of other groups, and what is refused."""
        others = _bases(kind) & set(self.groups.values())
        ours = {name for other in self.groups.values() if other is not kind for name in own_fields(other)}
        theirs = self.inherited_by(kind) & ours
        return {
            *("output_dir", *self.refused, *theirs),
            *(field.name for base in others for field in dataclasses.fields(base)),
        }

    def inherited_by(self, kind: type) -> set[str]:
        """Names of the fields that come from a class of transformers."""
        theirs = [base for base in kind.__mro__ if base.__module__.startswith("transformers.")]
        return {field.name for base in theirs if dataclasses.is_dataclass(base) for field in dataclasses.fields(base)}

    def own_of(self, kind: type) -> set[str]:
        """As `own_fields`."""
        return own_fields(kind)

    def converter_of(self, name: str) -> str:
        """Name of the function that converts a word to a value."""
        return getattr(self._actions[name].type, "__name__", "")

    def aliases_of(self, name: str) -> list[str]:
        """Further words for an option, with dashes."""
        words = [word for word in self._actions[name].option_strings if "_" not in word]
        return [word for word in words if word != dashed(name)]

    def can_be_switched_off(self, name: str) -> bool:
        """Whether there is `--no-NAME`."""
        return f"--no-{dashed(name)[2:]}" in self._parser._option_string_actions

    def option_named(self, word: str) -> str:
        """Name of an option, with underscores, given in full or as a short name; any other word unchanged."""
        name = word.removeprefix("--").replace("-", "_")
        return self._options.get(name, name)

    @property
    def names(self) -> Collection[str]:
        """Names of all options, with underscores."""
        return self._actions.keys()

    def words_of(self, options: Mapping[str, Any], place: str) -> dict[str, list[str]]:
        """Options as words of a command line, by name; no words for one whose value is None or an empty list.

        Args:
            options: As a YAML file has them.
            place: Where they stand, at the start of messages.

        Raises:
            InputError: no such option, one that is there twice, or a value that none can have.
        """
        words: dict[str, list[str]] = {}
        for key, value in options.items():
            name = self.option_named(key)
            if name not in self._actions:
                why = f"{key[:80]} is no option of ngdiff {self.command}{self._similar(key)}"
                raise InputError(f"{place}: {self.refused.get(name, why)}")
            if name in words:
                raise InputError(f"{place}: {key} is given twice")
            words[name] = [] if value is None or value == [] else self._words_for(name, value, f"{place}: {key}")
        return words

    def _words_for(self, name: str, value: Any, place: str) -> list[str]:
        action = self._actions[name]
        items = value if isinstance(value, list) else [] if isinstance(value, dict) else [value]
        strange = next((item for item in items if isinstance(item, list | tuple | dict | set | bytes)), None)
        if strange is not None:
            raise InputError(f"{place} holds a {type(strange).__name__}, which is no value of an option")
        if isinstance(action, argparse._AppendAction):
            return [f"--{name}={item}" for item in (value if isinstance(value, list) else [value])]
        if isinstance(value, list) and action.nargs == "+":
            return [f"--{name}", *(str(item) for item in value)]
        if isinstance(value, list):
            if len(value) > 1:
                raise InputError(f"{place} holds a list of {len(value)}, and the option takes one value")
            value = value[0]
        if isinstance(value, bool) and action.nargs != "?":
            value = "yes" if value else "no"  # YAML takes a bare `no`, as in `save_strategy: no`, for false
        try:
            text = json.dumps(value) if isinstance(value, dict | bool) else str(value)
        except (TypeError, ValueError) as error:  # dates and sets are nothing that JSON has
            raise InputError(f"{place} holds a mapping of which no JSON can be made: {error}") from error
        return [f"--{name}={text}"]  # in one word, so that a value which begins with a dash is no option

    def _similar(self, word: str) -> str:
        own = {name for kind in self.groups.values() for name in own_fields(kind)}
        found = nearest(word.lstrip("-"), self._options, {*own, *OFTEN_USED})
        return f"; did you mean {dashed(found)}?" if found else "; see --help-all"


class _RaisingParser(HfArgumentParser):
    """Raises `InputError` where argparse would print its usage and end the process."""

    def __init__(self, kinds: Sequence[Any], *, prog: str) -> None:
        # Names that several dataclasses share (output, model) must agree; the later one is kept.
        super().__init__(list(kinds), prog=prog, add_help=False, allow_abbrev=False, conflict_handler="resolve")

    @staticmethod
    def _parse_dataclass_field(parser: Any, field: "dataclasses.Field[Any]") -> None:
        plain = copy.copy(field)  # argparse is given the metadata, and does not know ours
        metadata = {key: value for key, value in field.metadata.items() if key != ACCEPTED}
        if short := SHORT.get(field.name):
            metadata["aliases"] = [*metadata.get("aliases", ()), *{f"--{short}", dashed(short)}]
        plain.metadata = MappingProxyType(metadata)
        HfArgumentParser._parse_dataclass_field(parser, plain)

    def error(self, message: str) -> NoReturn:
        # argparse names every spelling: "argument --max_steps/--max-steps: invalid int value: 'x'".
        raise InputError(re.sub(r"^argument (?:--\w+/)?(--[\w-]+)(?:/--[\w-]+)*", r"\1", message))


def _or_none(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """`none` on the command line is None for an option that may be None and is not a text."""
    if convert is str:
        return convert

    def converted(text: str) -> Any:
        return None if text.lower() == "none" else convert(text)

    converted.__name__ = getattr(convert, "__name__", "value")  # argparse names it in its messages
    return converted


def _optional(kind: type) -> set[str]:
    """Names of the fields that may be None."""
    return {name for name, hint in typing.get_type_hints(kind).items() if type(None) in typing.get_args(hint)}


def _bases(kind: type) -> set[type]:
    """All bases of a class except the class itself."""
    return set(kind.__mro__[1:])


def own_fields(kind: type) -> set[str]:
    """Names of the fields that a class of ngdiff defines: not inherited from transformers, or with another default."""
    ours = [base for base in kind.__mro__ if not base.__module__.startswith("transformers.")]
    return {name for base in ours for name in vars(base).get("__annotations__", {})}


def _take_config(words: list[str]) -> tuple[list[str], str | None]:
    file = None
    rest: list[str] = []
    following = iter(words)
    for word in following:
        if word == "--config":
            file = next(following, None)
            if file is None:
                raise InputError("--config needs a file")
        elif word.startswith("--config="):
            file = word.removeprefix("--config=")
        else:
            rest.append(word)
    return rest, file
