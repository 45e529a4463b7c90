"""What is measured of each row: the row itself, or several pieces of a text that is longer than a row may be.

A text has no prompt of its own. It is prompted with its first `l` tokens, and what the model says then is compared with
the rest (NGDiff, arXiv 2410.22086, Equation 8; MUSE, arXiv 2407.06460, Section 3.1). From the begin token alone all
texts would start alike, and a model that knows a hundred of them could recite one at most.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ngdiff.data.encode import IGNORED, Encoded, encode_answers, encode_parts, prompt_token_ids
from ngdiff.data.pieces import is_text
from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.evaluation.generation import decode
from ngdiff.plurals import some_of, verb

# Default length of a text's prompt: that with which Carlini et al. 2023 (arXiv 2202.07646) measure memorisation.
PROMPT_TOKENS = 50
_NO_END: frozenset[int] = frozenset()

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A row, or a piece of one. A chunk of a document continues the previous one, whose end is its context.

    Attributes:
        row: With the reference that is compared: of a row that was cut, what is left of the answer; of a text, what
            follows its prompt.
        prompt: The text's beginning, or None: what the template makes of the row.
        context: Of a chunk of a text the end of the one before, which the model is given, too.
        sequences: Of the reference, then paraphrased, perturbed, lower-cased answers, as far as they are asked for.
        prompt_ids: What generation starts from; empty: from nothing.
        n_given: How many of the reference's labels (that at position 0 is none) the prompt holds.
        piece: Its number, from 1, and of how many; None for a whole row.
        text: Whether it is (a piece of) a text.
    """

    row: Row
    prompt: str | None
    sequences: list[Encoded]
    prompt_ids: tuple[int, ...]
    n_given: int = 0
    piece: tuple[int, int] | None = None
    text: bool = False
    context: str = ""

    @property
    def n_cut(self) -> int:
        """Tokens that the longest of the answers lost, because the row was too long."""
        own = 1 + (self.row.paraphrased_answer is not None) + len(self.row.perturbed_answers)
        return max(sequence.n_cut for sequence in self.sequences[:own])

    @property
    def n_end(self) -> int:
        """As in `Encoded`, of the reference."""
        return self.sequences[0].n_end

    def alone(self) -> Row:
        """The row with its reference, a text from its beginning, and with no other answer."""
        answer = (self.prompt or "") + self.row.answer
        return replace(self.row, answer=answer, paraphrased_answer=None, perturbed_answers=())


def parts_of(
    rows: Sequence[Row],
    tokenizer: Any,
    template: Template,
    *,
    max_length: int,
    lowercase: bool = False,
    prompt_tokens: int | None = None,
    whole: bool = False,
) -> list[Part]:
    """The parts of all rows, in their order.

    Args:
        rows: Of one set.
        tokenizer, template: As for training.
        max_length: Longest part in tokens.
        lowercase: Encode the lower-cased reference, too.
        prompt_tokens: First tokens of a text that are its prompt; None: 50. A text that would have no token left
            is prompted with half of its tokens, and with None also one in which less would be left than is given. 0:
            texts start from the begin token.
        whole: Texts are neither prompted nor taken to pieces.

    Raises:
        InputError: as `ngdiff.data.encode`.
    """
    chosen = [whole or not is_text(row, template) for row in rows]
    prompted = [row for row, own in zip(rows, chosen, strict=True) if own]
    texts = [row for row, own in zip(rows, chosen, strict=True) if not own]
    bare = _encoded(prompted, None, tokenizer, template, max_length, lowercase)
    with_prompt = iter([_with_prompt(part, tokenizer) for part in bare])
    in_pieces = iter(_texts(texts, tokenizer, template, max_length, lowercase))
    by_row = [[next(with_prompt)] if own else next(in_pieces) for own in chosen]
    parts = [part for own in by_row for part in own]
    short = [part for part in parts if part.text and prompt_tokens and _is_short(part, prompt_tokens)]
    if short:
        logger.warning(
            "%s %s no more than --prompt-tokens %d; %s prompted with half of %s tokens.",
            some_of(len(short), len(parts), "text"), verb(len(short), "has", "have"), prompt_tokens,
            verb(len(short), "it is", "they are"), verb(len(short), "its", "their"),
        )  # fmt: skip
    return [_prompted(part, tokenizer, prompt_tokens) if part.text else part for part in parts]


def _encoded(
    rows: Sequence[Row],
    references: Sequence[Encoded] | None,
    tokenizer: Any,
    template: Template,
    max_length: int,
    lowercase: bool,
) -> list[Part]:
    """Parts with the sequences of all answers, tokenised in one go; `references` are known already, or None."""
    answers = [
        [
            *([row.answer] if references is None else []),
            *([] if row.paraphrased_answer is None else [row.paraphrased_answer]),
            *row.perturbed_answers,
            *([row.answer.lower()] if lowercase else []),
        ]
        for row in rows
    ]
    flat = encode_answers(
        [row for row, own in zip(rows, answers, strict=True) for _ in own],
        tokenizer,
        template,
        max_length=max_length,
        answers=[answer for own in answers for answer in own],
    )
    following = iter(flat)
    known: Sequence[list[Encoded]] = [[] for _ in rows] if references is None else [[item] for item in references]
    return [
        Part(row, None, [*first, *islice(following, len(own))], ())
        for row, first, own in zip(rows, known, answers, strict=True)
    ]


def _with_prompt(part: Part, tokenizer: Any) -> Part:
    """A row with a prompt of its own; of an answer that was cut, what is left is the reference."""
    row, item = part.row, part.sequences[0]
    ids = prompt_token_ids(row, tokenizer) if row.kind == "raw" else item.prompt_ids
    if item.n_cut:
        said = decode(tokenizer, item.input_ids[len(item.prompt_ids) : len(item.input_ids) - item.n_end], _NO_END)
        said = said if row.kind == "raw" else said.strip()
        if said.strip() and said != row.answer.strip():  # else only the end was lost
            row = replace(row, answer=said)
    return replace(part, row=row, prompt_ids=tuple(ids))


def _texts(
    rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int, lowercase: bool
) -> list[list[Part]]:
    """Whole texts and pieces, not prompted yet. Other answers belong to whole texts."""
    by_row = [
        own if len(own) == 1 else _with_text(own, tokenizer)
        for own in encode_parts(rows, tokenizer, template, max_length=max_length)
    ]
    pieces = [
        row if len(own) == 1 else _piece(row, item, number, len(own), tokenizer)
        for row, own in zip(rows, by_row, strict=True)
        for number, item in enumerate(own, start=1)
    ]
    flat = [item for own in by_row for item in own]
    parts = iter(_encoded(pieces, flat, tokenizer, template, max_length, lowercase))
    return [
        [
            replace(next(parts), text=True, piece=None if len(own) == 1 else (number, len(own)))
            for number in range(1, len(own) + 1)
        ]
        for own in by_row
    ]


def _with_text(items: list[Encoded], tokenizer: Any) -> list[Encoded]:
    """Without pieces that hold only white space and special tokens: there is nothing in them to recite."""
    return [item for item in items if decode(tokenizer, _own_ids(item), _NO_END).strip()] or items[:1]


def _piece(row: Row, item: Encoded, number: int, count: int, tokenizer: Any) -> Row:
    return replace(
        row,
        answer=decode(tokenizer, _own_ids(item), _NO_END),
        paraphrased_answer=None,
        perturbed_answers=(),
        origin=f"{row.origin or 'a text'}, piece {number} of {count}",
        kind=row.kind if item.n_end else "raw",
    )


def _is_short(part: Part, prompt_tokens: int) -> bool:
    return part.sequences[0].n_context == 0 and len(_text_ids(part)) <= prompt_tokens


def _own_ids(item: Encoded) -> list[int]:
    """Without the context of a chunk."""
    return item.input_ids[len(item.prompt_ids) :] if item.n_context else item.input_ids


def _text_ids(part: Part) -> list[int]:
    item = part.sequences[0]
    return item.input_ids[len(item.prompt_ids) : len(item.input_ids) - item.n_end]


def _prompted(part: Part, tokenizer: Any, prompt_tokens: int | None) -> Part:
    """With its first tokens as prompt, and the rest as reference."""
    item = part.sequences[0]
    front, text = len(item.prompt_ids), _text_ids(part)
    # The context of a chunk is a prompt as good as its first tokens.
    count = max(_prompt_length(len(text), prompt_tokens) - item.n_context, 0)
    length, head, rest = _beginning(part.row.answer, text, count, tokenizer)
    context = item.input_ids[front - item.n_context : front]
    return replace(
        part,
        row=replace(part.row, answer=rest),
        prompt=head,
        context=decode(tokenizer, context, _NO_END) if context else "",
        prompt_ids=tuple(item.input_ids[: front + length]),
        n_given=max(front + length - max(front, 1), 0),
    )


def _beginning(whole: str, ids: Sequence[int], count: int, tokenizer: Any) -> tuple[int, str, str]:
    """About the first `count` tokens of a text, the number taken, and their text and the rest."""
    # A letter may take several tokens; a prompt that ends inside one would show it as �.
    for length in range(count, min(count + 4, len(ids))):
        head = decode(tokenizer, ids[:length], _NO_END)
        if whole.startswith(head):
            break
    else:  # a tokenizer that does not reproduce the text, or special tokens in the text
        head, rest = (decode(tokenizer, part, _NO_END) for part in (ids[:count], ids[count:]))
        return (count, head, rest) if rest.strip() else (0, "", whole)
    # A remainder without words could not be compared with anything.
    while length and not any(map(str.isalnum, whole[len(head) :])):
        length -= 1
        head = decode(tokenizer, ids[:length], _NO_END)
    return length, head, whole[len(head) :]


def _prompt_length(tokens: int, prompt_tokens: int | None) -> int:
    """How many of a text's tokens are its prompt; at least one is left to compare with."""
    if prompt_tokens is None:
        return min(PROMPT_TOKENS, tokens // 2)
    return prompt_tokens if prompt_tokens < tokens else tokens // 2


def has_probability(item: Encoded) -> bool:
    """Whether a label has something before it."""
    return any(label != IGNORED for label in item.labels[1:])
