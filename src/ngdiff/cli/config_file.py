"""`--config FILE`: options from a YAML file, each a plain value, a list of them or a small mapping."""

import re
from typing import Any

import yaml

from ngdiff.errors import InputError
from ngdiff.paths import check_regular, user_path

_LARGEST = 1 << 16  # bytes of the file; a few hundred are usual
_PARTS = 10_000  # nested values, counting aliases each time: a few lines of YAML can expand to billions


def read_config(file: str, option: str | None = "--config") -> dict[str, Any]:
    """The options in the file, by name; empty for an empty file.

    Args:
        file: As typed.
        option: The option to which it was given, at the start of messages.

    Raises:
        InputError: no such file, invalid YAML, no `option: value` lines, a repeated option, or values that expand
            without bound.
    """
    shown = file if option is None else f"{option} {file}"
    path = user_path(file, option)
    if not path.exists():
        raise InputError(f"{shown}: no such file")
    check_regular(path, shown)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown}: cannot be read ({error.strerror or error})") from error
    if len(data) > _LARGEST:
        raise InputError(f"{shown}: {len(data):,} bytes; a file of options has at most {_LARGEST:,}")
    try:
        content = yaml.load(data.decode("utf-8-sig"), _Loader)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise InputError(f"{shown} is not YAML: nested too deeply") from error
    # ValueError: text that is not UTF-8, invalid dates, numbers with thousands of digits.
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{shown} is not YAML: {' '.join(str(error).split())}") from error
    except (KeyError, AttributeError, IndexError, TypeError) as error:  # PyYAML's errors for `!!bool x` and the like
        raise InputError(f"{shown} is not YAML: a value is not what its tag says") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{shown} holds no `option: value` lines but a {type(content).__name__}")
    _check_size(content, shown)
    return {str(name): value for name, value in content.items()}


class _Loader(yaml.SafeLoader):
    """Refuses repeated keys, which YAML forbids but PyYAML accepts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice, again in line {line}")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _as_typed(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A number as the command line reads it: YAML 1.1 makes 10 of 012, and 90 of 1:30."""
    text = str(loader.construct_scalar(node))
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return int(text)
    plain = node.tag.endswith("float") and ":" not in text
    return loader.construct_yaml_float(node) if plain else text


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _as_typed)


def _check_size(content: dict[Any, Any], shown: str) -> None:
    waiting: list[Any] = [content]
    count = 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _PARTS:
            raise InputError(f"{shown}: more than {_PARTS:,} values, repeated ones counted again")
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
