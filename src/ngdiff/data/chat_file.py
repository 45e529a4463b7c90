"""A chat template from a file, for a tokenizer that has none, or in place of its own."""

import logging
from pathlib import Path
from typing import Any

from ngdiff.data.files import read_text
from ngdiff.errors import InputError
from ngdiff.paths import user_path

logger = logging.getLogger(__name__)

OPTION = "--chat-template"
_TRIAL = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})


def use_chat_template(tokenizer: Any, file: str | Path) -> None:
    """Give a tokenizer the chat template in a file (Jinja, as transformers takes it). It is saved with the tokenizer.

    Raises:
        InputError: the file cannot be read, is empty, or holds no template; names the line.
    """
    from jinja2 import TemplateError, TemplateSyntaxError

    refusals = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)

    path = user_path(file, OPTION)
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{OPTION} {file}: cannot be read ({error.strerror or error})") from error
    if not text.strip():
        raise InputError(f"{OPTION} {file}: the file is empty")
    tokenizer.chat_template = text
    try:
        tokenizer.apply_chat_template([dict(turn) for turn in _TRIAL], tokenize=False)
    except TemplateSyntaxError as error:
        raise InputError(f"{OPTION} {file}, line {error.lineno}: no template of Jinja ({error.message})") from error
    except refusals as error:  # it may want a turn of the system first; a row that it refuses is an error
        logger.info("%s %s takes no plain question and answer (%s); the rows decide", OPTION, file, error)
