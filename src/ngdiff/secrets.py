"""Recognise options that contain secrets, and mask them in a command line."""

import re
from collections.abc import Sequence

# Such as transformers' hub_token; not pad_token_id.
_SECRET = re.compile(r"(^|[-_])(token|password|secret|api[-_]key)$")


def is_secret(option: str) -> bool:
    """Whether an option of this name holds a secret.

    >>> [is_secret(name) for name in ("hub_token", "--hub-token", "pad_token_id")]
    [True, True, False]
    """
    return _SECRET.search(option) is not None


def masked(command: Sequence[str]) -> list[str]:
    """The arguments of a command line, with the values of options that contain secrets replaced.

    >>> masked(["ngdiff", "--hub-token", "hf_abc", "--seed", "1", "--hub_token=hf_abc"])
    ['ngdiff', '--hub-token', '***', '--seed', '1', '--hub_token=***']
    """
    shown: list[str] = []
    hide = False
    for word in command:
        option, equals, _ = word.partition("=")
        secret = option.startswith("--") and is_secret(option)
        shown.append("***" if hide else f"{option}=***" if secret and equals else word)
        hide = secret and not equals
    return shown
