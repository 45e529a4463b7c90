"""One row of a forget or retain set, independent of file format and column names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ngdiff.errors import InputError

Kind = Literal["qa", "completion", "text", "messages", "raw", "corpus"]
# Kinds without a template and without an end token.
VERBATIM: tuple[Kind, ...] = ("raw", "corpus")


class Chunk(NamedTuple):
    """How a text is split: `tokens`, the maximum length of a chunk; `overlap`, how many of them repeat the end of the
    previous chunk as context, which is not learned again."""

    tokens: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and the answer to be forgotten or retained.

    Attributes:
        prompt: The question, or the text that the answer continues; `""` for plain-text rows. For chat rows
            the text of the last user turn.
        answer: The answer; for chat rows the final assistant turn, for text rows the whole text.
        messages: Chat rows only: the turns before the final assistant turn, each with `role` and `content`, and maybe
            `tool_calls`; the content of a turn that only calls tools is None.
        tools: Chat rows only: the tools, as given to the template.
        paraphrased_answer: The answer in other words (TOFU's truth ratio).
        perturbed_answers: Wrong answers in the same wording (TOFU's truth ratio).
        origin: Where the row was read, such as `forget.jsonl, line 17`; errors and records name it.
        kind: The column set it came from. It decides how a template treats the row: `qa` rows are put into
            the template, `completion` rows carry their own formatting, `text` rows have no prompt, `messages`
            rows need a chat template. `raw` rows are used literally: the prompt keeps a trailing space, and no end
            token follows the answer. `corpus` rows are the passages of a running text: each is scored like a raw row
            without a prompt; training uses chunks of the whole text (`ngdiff.data.corpus`).
        document: The name of the document of a text row; "" for rows of a table.
        chunk: How a text is split; None: into as few pieces as fit into the model's input, without overlap.

    Raises:
        InputError: an answer that is empty or not a string, or turns that do not fit `kind`.

    >>> Row("Where was Orla Vennick born?", "In Tarnholm.").kind
    'qa'
    """

    prompt: str
    answer: str
    messages: tuple[Mapping[str, Any], ...] | None = None
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()
    origin: str = ""
    kind: Kind = "qa"
    document: str = ""
    chunk: Chunk | None = None
    tools: tuple[Mapping[str, Any], ...] | None = None

    def __post_init__(self) -> None:
        where = self.origin or "Row"
        if not isinstance(self.prompt, str) or not isinstance(self.answer, str):
            found = f"{type(self.prompt).__name__} and {type(self.answer).__name__}"
            raise InputError(f"{where}: prompt and answer must be strings, found {found}.")
        if not self.answer.strip():
            raise InputError(f"{where}: the answer is empty; every row needs a text to be forgotten or retained.")
        if (self.kind == "messages") != (self.messages is not None):
            raise InputError(f"{where}: messages and kind='messages' belong together, found kind={self.kind!r}.")
