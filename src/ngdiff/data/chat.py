"""A conversation through the tokenizer's chat template, cut into prompt and answer."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.errors import InputError

# Private-use characters, which templates do not handle specially and texts are unlikely to contain.
MARK = "\ue0f1\ue0f2\ue0f3"


def render_chat(row: Row, tokenizer: Any, answer: str, specials: Collection[str]) -> tuple[str, str, str]:
    """The text before the answer, the answer, and the end of its turn.

    The whole conversation is rendered twice, once with a placeholder instead of the answer: the text before the
    placeholder is the prompt, the text after it ends the turn. Of the latter, everything up to the first special token
    (`<|im_end|>`) is kept, and the rest (a newline) is dropped. A block that the template inserts before the final
    answer (Qwen's empty `<think>` block) thus belongs to the prompt, and only the answer is learned.

    The prompt must agree with what chat applications send: the turns before the answer with
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
    _check_tools(row, tokenizer, before, generation)
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


def _check_tools(row: Row, tokenizer: Any, turns: Sequence[Any], shown: str) -> None:
    """Refuse a template that drops tools, or calls of them."""
    others = []
    if row.tools is not None:
        others.append(("tools", replace(row, tools=None), turns, ", or leave the tools out (--columns messages)"))
    if any("tool_calls" in turn for turn in turns):
        bare = [{key: value for key, value in turn.items() if key != "tool_calls"} for turn in turns]
        others.append(("tool_calls", row, bare, ""))
    for what, other, without, advice in others:
        try:
            same = _apply(other, tokenizer, without, True) == shown
        except InputError:  # it wants them
            continue
        if same:
            raise InputError(
                f"{row.origin or 'a row'}: the tokenizer's chat template does not show the row's {what}; give one that "
                f"does (--chat-template FILE){advice}."
            )


def special_texts(tokenizer: Any) -> frozenset[str]:
    """The texts of all special tokens, both named ones (`eos_token`) and others (`<|im_end|>`)."""
    added = tokenizer.added_tokens_decoder.values()
    return frozenset({*tokenizer.all_special_tokens, *(token.content for token in added if token.special)})


def _first_special(end: str, specials: Collection[str]) -> str:
    """`end` up to and including its first special token; without one, `end` without trailing white space."""
    found = [(end.find(text), -len(text), text) for text in specials if text and text in end]
    if not found:
        return end.rstrip()
    start, _, text = min(found)
    return end[: start + len(text)]


# Errors that a template may raise in addition to its own, because it computes with its inputs.
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
        # The message of a template may contain the text that it refuses.
        texts = [text for turn in turns for key, text in dict(turn).items() if key != "role"]
        quoted = any(text and (not isinstance(text, str) or text in str(error)) for text in texts)
        reason = type(error).__name__ if quoted or not isinstance(error, TemplateError) else error
        raise InputError(f"{row.origin or 'a row'}: the tokenizer's chat template refuses it ({reason}).") from error
    assert isinstance(text, str)
    return text
