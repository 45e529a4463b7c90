"""Tokens and labels of a row: the answer and one end token are learned, the prompt is not.

Prompt and answer are tokenised as one text, because a token may span the boundary: `"Answer:"` + `" Hsiao"` has a token
`" Hsiao"`, and tokenising `"Answer: "` and `"Hsiao"` separately would give other tokens than in running text. A token
is a label if its characters end beyond the prompt. Generation starts from the ids before the first label, so that
training and generation agree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ngdiff.data.chat import special_texts
from ngdiff.data.corpus import corpus_chunks
from ngdiff.data.long_rows import say_what_is_long
from ngdiff.data.pieces import chunks, is_text
from ngdiff.data.progress import with_bar
from ngdiff.data.rows import VERBATIM, Row
from ngdiff.data.template import Template
from ngdiff.data.tokens import tokens_of
from ngdiff.data.windows import windows
from ngdiff.errors import InputError

IGNORED = -100
_AT_ONCE = 4096  # rows that are rendered and tokenised together, which bounds memory


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of prompt, answer and end token; `labels` are the same ids, -100 on the prompt.

    `n_end`: how many of the last labels only end the answer: the end token, and what a template writes before it.
    `n_cut`: how many ids were cut off at the end, because the row was too long. `n_context`: how many of the ids before
    the first label repeat the end of the previous piece.
    """

    input_ids: list[int]
    labels: list[int]
    n_end: int = 0
    n_cut: int = 0
    n_context: int = 0

    @property
    def prompt_ids(self) -> list[int]:
        """The ids before the first label: what generation starts from."""
        return self.input_ids[: sum(1 for _ in takewhile(lambda label: label == IGNORED, self.labels))]


def encode(row: Row, tokenizer: Any, template: Template, *, max_length: int, answer: str | None = None) -> Encoded:
    """Ids and labels of one row.

    Args:
        row: The row.
        tokenizer: A transformers tokenizer with an end token.
        template: From `resolve_template`.
        max_length: Longest sequence in tokens; the end of a longer one, with its end token, is cut off.
        answer: Encoded instead of the row's answer.

    Raises:
        InputError: a tokenizer without `eos_token`, or a prompt that leaves no room for an answer token.
    """
    (whole,) = encode_whole([row], tokenizer, template, answers=None if answer is None else [answer])
    return _cut(row, whole, max_length)


def encode_rows(
    rows: Sequence[Row],
    tokenizer: Any,
    template: Template,
    *,
    max_length: int,
    answers: Sequence[str] | None = None,
) -> list[dict[str, list[int]]]:
    """The training examples of the rows, `{"input_ids", "labels"}` each; logs how many rows were too long.

    Without `answers`, long texts are split into pieces (`ngdiff.data.pieces`), rows with long answers into windows
    (`ngdiff.data.windows`), and the concatenated rows of a corpus into chunks (`ngdiff.data.corpus`). With `answers`,
    there is one result for each row, and the end of a long one is cut off.

    Args:
        rows: The rows.
        tokenizer: As for `encode`.
        template: As for `encode`.
        max_length: Longest result in tokens.
        answers: One for each row, instead of its own.

    Raises:
        InputError: as `encode`, naming the row's origin.
    """
    return [item for _, item in encode_named(rows, tokenizer, template, max_length=max_length, answers=answers)]


def encode_named(
    rows: Sequence[Row],
    tokenizer: Any,
    template: Template,
    *,
    max_length: int,
    answers: Sequence[str] | None = None,
    role: str = "",
    show_progress: bool = False,
) -> list[tuple[str, dict[str, list[int]]]]:
    """`encode_rows`, each result with the name of its row for messages.

    Args:
        rows, tokenizer, template, max_length, answers: As for `encode_rows`.
        role: The name of the set in messages.
        show_progress: Show a bar on a terminal where there are many rows.

    Raises:
        InputError: as `encode_rows`.
    """
    if answers is None and rows and rows[0].kind == "corpus":
        found = corpus_chunks(rows, tokenizer, max_length=max_length)
        return [(f"chunk {i} (from 0)", {"input_ids": ids, "labels": list(ids)}) for i, ids in enumerate(found)]
    whole = with_bar(
        encode_whole(rows, tokenizer, template, answers=answers),
        f"encoding {role or 'rows'}",
        total=len(rows),
        shown=show_progress,
    )
    by_row = [
        _parts_of(row, item, template, max_length) if answers is None else [_cut(row, item, max_length)]
        for row, item in zip(rows, whole, strict=True)
    ]
    say_what_is_long(rows, by_row, template, max_length=max_length, role=role)
    return [
        (row.origin or f"row {i} (from 0)", {"input_ids": item.input_ids, "labels": item.labels})
        for i, (row, own) in enumerate(zip(rows, by_row, strict=True))
        for item in own
    ]


def encode_parts(rows: Sequence[Row], tokenizer: Any, template: Template, *, max_length: int) -> list[list[Encoded]]:
    """For each row one result, or several if it is longer than `max_length`: pieces of a text (`ngdiff.data.pieces`),
    windows of any other row (`ngdiff.data.windows`).

    The last piece of a text ends with the end token, unless the text fills its pieces completely. Arguments and errors
    are those of `encode_rows`.
    """
    whole = encode_whole(rows, tokenizer, template)
    return [_parts_of(row, item, template, max_length) for row, item in zip(rows, whole, strict=True)]


def _parts_of(row: Row, item: Encoded, template: Template, max_length: int) -> list[Encoded]:
    return (_in_pieces if is_text(row, template) else _in_windows)(row, item, max_length)


def _in_windows(row: Row, item: Encoded, max_length: int) -> list[Encoded]:
    first = _cut(row, item, max_length)  # refuses a prompt that leaves no room
    if not first.n_cut:
        return [first]
    end = len(item.input_ids) - item.n_end
    return [
        Encoded(
            item.input_ids[start:stop],
            [IGNORED] * (learned - start) + item.labels[learned:stop],
            n_end=max(stop - max(learned, end), 0),
        )
        for start, learned, stop in windows(len(item.input_ids), max_length)
    ]


def _in_pieces(row: Row, item: Encoded, max_length: int) -> list[Encoded]:
    size, overlap = (max_length, 0) if row.chunk is None else (min(row.chunk.tokens, max_length), row.chunk.overlap)
    front, end = item.prompt_ids, item.input_ids[len(item.input_ids) - item.n_end :]
    text = item.input_ids[len(front) : len(item.input_ids) - item.n_end]
    if len(item.input_ids) <= size or max(len(front), 1) >= size:
        return [_cut(row, item, size)]
    found = [
        Encoded(front + context + ids, [IGNORED] * len(front + context) + ids, n_context=len(context))
        for context, ids in chunks(text, size - len(front), overlap)
    ]
    last = found[-1]
    if len(last.input_ids) + len(end) <= max_length:
        found[-1] = Encoded(last.input_ids + end, last.labels + end, n_end=len(end), n_context=last.n_context)
    return found


def encode_answers(
    rows: Sequence[Row],
    tokenizer: Any,
    template: Template,
    *,
    max_length: int,
    answers: Sequence[str] | None = None,
) -> list[Encoded]:
    """`encode` for many rows at once, one result for each row. Arguments and errors are those of `encode_rows`."""
    whole = encode_whole(rows, tokenizer, template, answers=answers)
    return [_cut(row, item, max_length) for row, item in zip(rows, whole, strict=True)]


def end_token_ids(tokenizer: Any, template: Template) -> list[int]:
    """The ids that end an answer: the tokenizer's end token, and that of the chat template if it differs."""
    ids = [_end_id(tokenizer)]
    if template.name == "chat":
        last = encode(Row("a", "a"), tokenizer, template, max_length=1 << 30).input_ids[-1]
        ids += [last] if last not in ids else []
    return ids


def prompt_token_ids(row: Row, tokenizer: Any) -> list[int]:
    """The ids from which generation starts for a raw row: its prompt tokenised separately, with the begin token.

    Other rows start from `Encoded.prompt_ids`. The prompt of a raw row is used literally, including a trailing space,
    which would otherwise become part of the answer's first token.
    """
    return _tokenise([(row.prompt, "", "")], tokenizer, is_chat=False)[0][0]


def encode_whole(
    rows: Sequence[Row], tokenizer: Any, template: Template, *, answers: Sequence[str] | None = None
) -> Iterator[Encoded]:
    """Complete encodings of rows, of any length, one after the other; arguments and errors are those of `encode_rows`.

    Only what is not consumed yet is in memory.
    """
    if answers is not None and len(answers) != len(rows):
        raise InputError(f"answers: one per row is needed, found {len(answers)} for {len(rows)} rows.")
    end_id = _end_id(tokenizer)
    special = set(tokenizer.convert_tokens_to_ids(sorted(special_texts(tokenizer))))
    shared: dict[int, int] = {}  # one object for each id, not for each token
    for first in range(0, len(rows), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        part = rows[some]
        own = [None] * len(part) if answers is None else answers[some]
        texts = [template.parts(row, answer) for row, answer in zip(part, own, strict=True)]
        chat = [template.uses_chat(row) for row in part]
        encoded: dict[int, Encoded] = {}
        for is_chat in (False, True):
            chosen = [i for i, flag in enumerate(chat) if flag == is_chat]
            chosen_texts, origins = [texts[i] for i in chosen], [part[i].origin for i in chosen]
            tokenised = _tokenise(chosen_texts, tokenizer, is_chat, origins)
            for i, (found, start, stop) in zip(chosen, tokenised, strict=True):
                ids = [shared.setdefault(token, token) for token in found]
                # The chat template may have written the end token. Other rows get the tokenizer's, and text that
                # ends in one already does not get a second.
                last = ids[-1] if is_chat and ids[-1] in special else end_id
                if part[i].kind not in VERBATIM:
                    while len(ids) > start and ids[-1] == last:
                        ids.pop()
                    stop = min(stop, len(ids))
                    ids.append(last)
                labels = [IGNORED] * start + ids[start:]
                encoded[i] = Encoded(ids, labels, n_end=len(ids) - max(start, stop))
        yield from (encoded[i] for i in range(len(part)))


def _end_id(tokenizer: Any) -> int:
    if tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer has no end token (eos_token), so a model cannot learn where an answer ends; set "
            "eos_token in its tokenizer_config.json."
        )
    return int(tokenizer.eos_token_id)


def _cut(row: Row, item: Encoded, max_length: int) -> Encoded:
    if max_length < 2:
        raise InputError(f"--max-length must be at least 2, found {max_length}.")
    # A label at position 0 does not count: no token comes before it to predict it from.
    start = len(item.prompt_ids)
    if max(start, 1) >= max_length:
        raise InputError(
            f"{row.origin or 'a row'}: the prompt alone has {start} tokens, so --max-length {max_length} "
            "leaves no token of the answer; raise --max-length or shorten the prompt."
        )
    n_cut = max(len(item.input_ids) - max_length, 0)
    return Encoded(item.input_ids[:max_length], item.labels[:max_length], max(item.n_end - n_cut, 0), n_cut)


def _tokenise(
    texts: Sequence[tuple[str, str, str]], tokenizer: Any, is_chat: bool, origins: Sequence[str] = ()
) -> list[tuple[list[int], int, int]]:
    """For each (prompt, answer, end): the ids without the tokenizer's own end token, the position of the first label,
    and that of the first token after prompt and answer (the number of ids, if there is none).

    A chat template writes all special tokens itself; adding those of the tokenizer would repeat the first one.
    """
    if not texts:
        return []
    if not tokenizer.is_fast:
        return [_tokenise_slowly(*parts, tokenizer, is_chat) for parts in texts]
    result = []
    whole = tokens_of(["".join(parts) for parts in texts], tokenizer, special=not is_chat, origins=origins)
    for (prompt, answer, end), found in zip(texts, whole, strict=True):
        length = len(found.ids)
        # Tokens that the tokenizer prepends (beginning of sequence) have the span (0, 0).
        start = next((i for i in range(length) if found.ends[i] > len(prompt)), length)
        # White space at the end of a text may have an empty span behind it; it is of the answer nevertheless.
        behind = (i for i in range(start, length) if end and found.starts[i] >= len(prompt) + len(answer))
        result.append((found.ids, start, next(behind, length)))
    return result


def _tokenise_slowly(prompt: str, answer: str, end: str, tokenizer: Any, is_chat: bool) -> tuple[list[int], int, int]:
    """The same for a tokenizer written in Python, which returns no spans: from the common prefix of the ids of a part
    and of the whole."""

    def ids_of(text: str, special: bool) -> list[int]:
        return list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    whole = prompt + answer + end
    ids, bare = ids_of(whole, not is_chat), ids_of(whole, False)
    front = next((k for k in range(len(ids) - len(bare) + 1) if ids[k : k + len(bare)] == bare), 0)
    ids = ids[: front + len(bare)]

    def shared(beginning: str) -> int:
        pairs = zip(ids, ids_of(beginning, not is_chat), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    return ids, shared(prompt), shared(prompt + answer) if end else len(ids)
