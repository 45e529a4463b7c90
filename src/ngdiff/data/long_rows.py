"""Messages about rows that are longer than a model takes at once: what they become, and what is lost."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ngdiff.data.pieces import is_text
from ngdiff.data.rows import Chunk, Row
from ngdiff.data.template import Template
from ngdiff.plurals import some_of, verb

if TYPE_CHECKING:
    from ngdiff.data.encode import Encoded

logger = logging.getLogger(__name__)

# Kind of a row: its name in messages and what follows that, the option that limits it, and what it is split into.
_LONG = {
    "text": ("text", "", "--max-length", "rows"),
    "chunked": ("text", "", "--chunk-tokens", "chunks"),
    "document": ("document", "", "--chunk-tokens", "chunks"),
    "prompted": ("row", " with a prompt", "--max-length", "windows, to the end of their answers"),
}


def say_what_is_long(
    rows: Sequence[Row], encoded: Sequence[Sequence["Encoded"]], template: Template, *, max_length: int, role: str
) -> None:
    """Log how many rows were split, kind by kind, and warn of those that were cut.

    Args:
        rows: The rows.
        encoded: What each of them became.
        template: By which they became text.
        max_length: Longest sequence in tokens.
        role: Name of the set in messages; empty for none.
    """
    of = f"{role}: " if role else ""
    kinds = [_kind_of(row, template) for row in rows]
    for kind, chunk in sorted(dict.fromkeys(kinds), key=lambda found: list(_LONG).index(found[0])):
        parted = [own for own, other in zip(encoded, kinds, strict=True) if len(own) > 1 and other == (kind, chunk)]
        if parted:
            name, more, option, parts = _LONG[kind]
            limit = max_length if chunk is None else chunk.tokens
            option, limit = (option, limit) if limit <= max_length else ("--max-length", max_length)
            count = len(parted)
            logger.info(
                "%s%s%s %s longer than %s %d; %s %d %s.",
                of, some_of(count, kinds.count((kind, chunk)), name), more, verb(count), option, limit,
                verb(count, "it becomes", "they become"), sum(map(len, parted)),
                parts if count > 1 else parts.replace("their answers", "its answer"),
            )  # fmt: skip
    cut = [item for own in encoded for item in own if item.n_cut]
    if cut:
        lost = sum(item.n_cut for item in cut)
        was, its = verb(len(cut), "was", "were"), verb(len(cut), "its", "their")
        logger.warning(
            "%s%s %s longer than --max-length %d and %s cut: %d of %s %d tokens are left out.",
            of, some_of(len(cut), len(rows), "row"), was, max_length, was, lost, its,
            lost + sum(len(item.input_ids) for item in cut),
        )  # fmt: skip


def _kind_of(row: Row, template: Template) -> tuple[str, Chunk | None]:
    if not is_text(row, template):
        return "prompted", None
    if row.chunk is None:
        return "text", None
    return "document" if row.document else "chunked", row.chunk
