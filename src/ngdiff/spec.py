"""`NAME` or `NAME(key=value, ...)`: the specification of a weighting or an objective with its parameters."""

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from ngdiff.errors import InputError

_FORM = re.compile(r"\s*(?P<name>[\w.:+-]+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spec:
    """A name and the values given with it.

    Args:
        name: Such as `gradnorm`, `torchjd:upgrad` or `my_module:my_function`.
        arguments: By keyword.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.name}({inside})" if inside else self.name


def parse_spec(text: str, option: str | None = None) -> Spec:
    """Read `NAME` or `NAME(key=value, ...)`; the values are Python literals, never evaluated.

    Args:
        text: As typed.
        option: The option to which it was given, at the start of messages.

    Raises:
        InputError: another form, an argument without a name or given twice, or a value that is not a literal.

    Example:
        >>> parse_spec("gradnorm(alpha=1.5)")
        Spec(name='gradnorm', arguments={'alpha': 1.5})
        >>> str(parse_spec(" ngdiff "))
        'ngdiff'
    """
    match = _FORM.fullmatch(text)
    where = repr(text) if option is None else f"{option} {text!r}"
    if match is None:
        raise InputError(f"{where} is neither NAME nor NAME(key=value, ...)")
    inside = match["arguments"]
    if inside is None or not inside.strip():
        return Spec(match["name"])
    try:
        call = ast.parse(f"f({inside})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # NUL bytes, deeply nested brackets
        reason = getattr(error, "msg", None) or "it cannot be read"
        raise InputError(f"{where}: what stands in the brackets is not key=value, ... ({reason})") from error
    if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
        raise InputError(f"{where}: every value needs its name, as in {match['name']}(key=value)")
    arguments: dict[str, Any] = {}
    for keyword in call.keywords:
        name = str(keyword.arg)
        if name in arguments:
            raise InputError(f"{where}: {name} is given twice")
        try:
            arguments[name] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise InputError(
                f"{where}: the value of {name} is neither a number, a text in quotes, True, False nor None"
            ) from error
    return Spec(match["name"], arguments)
