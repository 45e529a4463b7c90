"""A conversation through the tokenizer's chat template, cut into prompt and answer."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.errors import InputError

# Private-use characters: no template treats them, no text is likely to hold them.
MARK = "\ue0f1\ue0f2\ue0f3"


def render_chat(row: Row, tokenizer: Any, answer: str, specials: Collection[str]) -> tuple[str, str, str]:
    """The text before the answer, the answer, and how the template ends its turn.

    The whole conversation is rendered twice, once with a mark in place of the answer: what stands before the
    mark is the prompt, what stands after it is how the template ends a turn. Of the latter the first special
    token is kept (`<|im_end|>`), and what follows it (a newline) is cut. A block that the template puts
    before the final answer (Qwen's empty `<think>` block) thus belongs to the prompt, and only the answer is
    learned.

    The prompt must agree with what chat programs send, the turns before the answer with
    `add_generation_prompt=True`. It may be longer (such a block, or a template that ignores that option) or
    end earlier (a generation prompt that opens a `<think>` block which finished conversations do not have).

    Raises:
        InputError: the template refuses the turns, changes the answer's text (beyond trimming it), or renders
            the turns before the answer differently once there is an answer.
    """
    before = row.messages if row.messages is not None else ({"role": "user", "content": row.prompt},)
    marked = _apply(row, tokenizer, [*before, {"role": "assistant", "content": MARK}])
    full = _apply(row, tokenizer, [*before, {"role": "assistant", "content": answer}])
    generation = _apply(row, tokenizer, before, True)
    if row.tools is not None and generation == _apply(replace(row, tools=None), tokenizer, before, True):
        raise InputError(
            f"{row.origin or 'a row'}: the tokenizer's chat template does not show the row's tools; give one that does "
            "(--chat-template FILE), or leave the tools out (--columns messages)."
        )
    prompt, mark, end = marked.rpartition(MARK)
    spoken = next((text for text in (answer, answer.strip()) if full == prompt + text + end), None)
    if not mark or spoken is None:
        raise InputError(
            f"{row.origin or 'a row'}: the tokenizer's chat template changes the text of the final answer; "
            "use --template plain or a text of your own."
        )
    if not (prompt.startswith(generation) or generation.startswith(prompt.rstrip())):
        raise InputError(
            f"{row.origin or 'a row'}: the tokenizer's chat template renders the turns before the answer "
            "differently once the answer follows; use --template plain or a text of your own."
        )
    return prompt, spoken, _first_special(end, specials)


def special_texts(tokenizer: Any) -> frozenset[str]:
    """The texts of all special tokens, named ones (`eos_token`) and others (`<|im_end|>`)."""
    added = tokenizer.added_tokens_decoder.values()
    return frozenset({*tokenizer.all_special_tokens, *(token.content for token in added if token.special)})


def _first_special(end: str, specials: Collection[str]) -> str:
    """`end` up to and including its first special token; without one, `end` without trailing white space."""
    found = [(end.find(text), -len(text), text) for text in specials if text and text in end]
    if not found:
        return end.rstrip()
    start, _, text = min(found)
    return end[: start + len(text)]


# What a template may raise beside errors of its own: it calculates with what it is given.
_TEMPLATE_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


def _apply(row: Row, tokenizer: Any, turns: Sequence[Any], add_generation_prompt: bool = False) -> str:
    from jinja2 import TemplateError

    try:
        text = tokenizer.apply_chat_template(
            [dict(turn) for turn in turns],
            tools=None if row.tools is None else [dict(tool) for tool in row.tools],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
        )
    except (TemplateError, *_TEMPLATE_ERRORS) as error:
        # A template may put what it refuses into its message.
        texts = [text for turn in turns for key, text in dict(turn).items() if key != "role"]
        quoted = any(text and (not isinstance(text, str) or text in str(error)) for text in texts)
        reason = type(error).__name__ if quoted or not isinstance(error, TemplateError) else error
        raise InputError(f"{row.origin or 'a row'}: the tokenizer's chat template refuses it ({reason}).") from error
    assert isinstance(text, str)
    return text
