"""From a row to the two texts a model sees: the prompt and the answer.

| rows              | auto, with a chat template | auto, without | plain       | chat        | STRING      |
|-------------------|----------------------------|---------------|-------------|-------------|-------------|
| question/answer   | chat                       | `PLAIN`       | `PLAIN`     | chat        | STRING      |
| prompt/completion | as they are                | as they are   | as they are | chat        | STRING      |
| messages          | chat                       | error         | error       | chat        | error       |
| text, raw, corpus | as it is                   | as it is      | as it is    | as it is(*) | as it is(*) |

(*) an error if all rows are of these kinds, since the choice would then have no effect.

prompt/completion rows are joined without anything between them, as TRL does: such files carry their own
formatting, down to the space between the two.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ngdiff.data.chat import render_chat, special_texts
from ngdiff.data.rows import VERBATIM, Row
from ngdiff.errors import InputError

UNTEMPLATED = ("text", *VERBATIM)
PLAIN = "Question: {question}\nAnswer: {answer}"
ACCEPTED = "auto, plain, chat, or a text with {question} and, after it, {answer}"


@dataclass(frozen=True)
class Template:
    """How rows become text. Made by `resolve_template`.

    Attributes:
        name: `plain`, `chat`, `text`, or the text with `{question}` and `{answer}` as it was given.
        tokenizer: Holds the chat template.
        verbatim_completions: Prompt/completion rows are joined as they are.
    """

    name: str
    tokenizer: Any = field(default=None, repr=False, compare=False)
    verbatim_completions: bool = True

    @cached_property
    def special_texts(self) -> frozenset[str]:
        """The texts of the tokenizer's special tokens; looked up once, as that takes longer than a row."""
        return special_texts(self.tokenizer)

    @property
    def text(self) -> str | None:
        """The template itself, for the record: that of the chat, or the text with its placeholders; None where rows
        are shown as they are."""
        if self.name == "chat":
            found = getattr(self.tokenizer, "chat_template", None)
            return found if found is None or isinstance(found, str) else str(found)
        return {"plain": PLAIN, "text": None}.get(self.name, unescape(self.name))

    def uses_chat(self, row: Row) -> bool:
        """Whether the tokenizer's chat template renders this row (it then brings all special tokens
        itself)."""
        if row.kind == "completion" and self.verbatim_completions:
            return False
        return row.kind == "messages" or (self.name == "chat" and row.kind not in UNTEMPLATED)

    def render(self, row: Row, answer: str | None = None) -> tuple[str, str]:
        """The prompt text and the answer text; the two joined are what the model is trained on.

        White space between prompt and answer belongs to the answer (`"Answer:"`, `" Paris"`): tokenizers put
        it into the first token of the answer, and a prompt that ends in a space would hide that token.
        In conversations the prompt ends as the chat template ends it, and the answer text ends with the
        template's end token if it has one. Raw rows keep what they hold where they hold it.

        Args:
            row: The row.
            answer: Rendered in place of the row's own answer.

        Raises:
            InputError: the chat template fails on this row or changes its answer.

        >>> Template("plain").render(Row("Where was Orla born?", "In Tarnholm."))
        ('Question: Where was Orla born?\\nAnswer:', ' In Tarnholm.')
        """
        prompt, answer, end = self.parts(row, answer)
        return prompt, answer + end

    def parts(self, row: Row, answer: str | None = None) -> tuple[str, str, str]:
        """`render`, with the answer text apart from what the template writes behind it: the end of a turn, or the
        text after `{answer}`. The tokenizer's own end token, which `ngdiff.data.encode` appends, is no part of it.

        >>> Template("{question} -> {answer} ###").parts(Row("Where was Orla born?", "In Tarnholm."))
        ('Where was Orla born? ->', ' In Tarnholm.', ' ###')
        """
        answer = row.answer if answer is None else answer
        if self.uses_chat(row):
            return render_chat(row, self.tokenizer, answer, self.special_texts)
        if row.kind in UNTEMPLATED:
            return ("" if row.kind == "text" else row.prompt), answer, ""
        if row.kind == "completion" and self.verbatim_completions:
            head, after = row.prompt, ""
        else:
            text = PLAIN if self.name in ("plain", "text") else unescape(self.name)
            before, _, after = text.partition("{answer}")
            # Only the template's own placeholders are replaced: the row's text may hold braces of its own.
            head = before.replace("{question}", row.prompt)
        prompt = head.rstrip()
        return prompt, head[len(prompt) :] + answer, after


def resolve_template(choice: str, tokenizer: Any, rows: Sequence[Row]) -> Template:
    """The template that `--template CHOICE` means for these rows; see the table at the top of this file.

    Args:
        choice: `auto`, `plain`, `chat`, or a text with `{question}` and `{answer}` in which `\\n`, `\\t` and
            `\\\\` may be written as on a command line. The name of a template made earlier gives that
            template again.
        tokenizer: A transformers tokenizer.
        rows: All rows it will be used for.

    Raises:
        InputError: an unknown choice, a chat template that is needed and missing, or a choice that cannot be
            used for these rows.

    >>> resolve_template("auto", None, [Row("Who?", "Orla.")]).name
    'plain'
    """
    has_chat = bool(getattr(tokenizer, "chat_template", None))
    is_text = choice not in ("auto", "plain", "chat", "text")
    if is_text:
        _check_placeholders(choice)
    prompted = [row for row in rows if row.kind not in UNTEMPLATED]
    if not prompted:
        if is_text or choice == "chat":
            raise InputError(f"--template {choice!r}: all rows are plain text and have no question; accepted is auto.")
        return Template("text", tokenizer)
    if choice == "text":
        raise InputError(f"--template text: {_place(prompted[0])} is no plain-text row; accepted are {ACCEPTED}.")
    conversation = next((row for row in prompted if row.kind == "messages"), None)
    if conversation is not None and not has_chat:
        raise InputError(
            f"{_place(conversation)}: rows with messages need a chat template, and the tokenizer has none; "
            "give one with --chat-template FILE, or use question/answer rows."
        )
    if conversation is not None and choice not in ("auto", "chat"):
        raise InputError(
            f"--template {choice!r}: {_place(conversation)} is a conversation; accepted are auto and chat."
        )
    if choice == "chat" and not has_chat:
        raise InputError("--template chat: the tokenizer has no chat template; accepted are auto, plain or a text.")
    if choice == "auto":
        chat = has_chat and any(row.kind in ("qa", "messages") for row in prompted)
        return Template("chat" if chat else "plain", tokenizer)
    return Template(choice, tokenizer, verbatim_completions=choice == "plain")


def unescape(text: str) -> str:
    r"""`\n`, `\t` and `\\` as a shell passes them on, turned into what they stand for.

    >>> unescape(r"Q: {question}\nA: {answer}")
    'Q: {question}\nA: {answer}'
    """
    return re.sub(r"\\([nt\\])", lambda match: {"n": "\n", "t": "\t", "\\": "\\"}[match[1]], text)


def _check_placeholders(choice: str) -> None:
    before, found, after = choice.partition("{answer}")
    if not found or "{question}" not in before or "{question}" in after or "{answer}" in after:
        raise InputError(f"--template {choice!r} is not accepted; accepted are {ACCEPTED}.")


def _place(row: Row) -> str:
    return row.origin or "a row"
