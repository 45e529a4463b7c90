"""Options of how files of rows are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ngdiff.cli import holdout_auto, retain_auto
from ngdiff.cli.parsing import option
from ngdiff.cli.retain_auto import AUTO
from ngdiff.data import Row, read_rows
from ngdiff.data.documents import check_chunk
from ngdiff.data.forms import Columns, parse_columns
from ngdiff.errors import InputError
from ngdiff.ranges import COUNT, COUNT_OR_NONE, Range

_COLUMNS = "question=COLUMN,answer=COLUMN, or prompt=,completion=, text=, messages=; alpaca; sharegpt (found by name)"


READING = ("columns", "chunk_tokens", "chunk_overlap")  # of `ngdiff.data.read_rows`, as the manifest has them

# Sets that `ngdiff unlearn` can make.
_MADE: dict[str, Callable[[str], InputError]] = {
    "holdout": holdout_auto.refuse_elsewhere,
    **{role: partial(retain_auto.refuse_elsewhere, role) for role in retain_auto.FILES},
}


@dataclass
class ReadOptions:
    """The columns of a file, and how its texts are split."""

    columns: str | None = option(
        None, help=f"which columns of the files rows are made of: {_COLUMNS}", value="OURS=COLUMN,..."
    )

    chunk_tokens: int | None = option(
        None,
        help="most tokens of a chunk of a document or other text without a prompt (512 of a document; else as many as "
        "the model sees at once)",
        accepted=Range(2, COUNT.largest),
    )
    chunk_overlap: int | None = option(
        None,
        help="tokens of a chunk that are the end of the one before, shown but not learned again (an eighth)",
        accepted=COUNT_OR_NONE,
    )

    def reading(self, role: str) -> dict[str, Any]:
        """The options of one set, for the manifest and for `ngdiff.data.read_rows`."""
        asked = {"columns": self._columns(role).given, **self._chunks()}
        return {name: value for name, value in asked.items() if value is not None}

    def read(self, role: str, source: str) -> list[Row]:
        """The rows of one set.

        Args:
            role: Name of its option, without dashes.
            source: As given.

        Raises:
            InputError: as `ngdiff.data.read_rows`.
        """
        if source == AUTO and role in _MADE:
            raise _MADE[role]("this command")
        return read_rows(source, role=f"--{role}", columns=self._columns(role), **self._chunks())

    def check_reading(self) -> None:
        """Refuse invalid options, before any file is read.

        Raises:
            InputError: column names, or an overlap that is not below half of a chunk.
        """
        check_chunk(self.chunk_tokens, self.chunk_overlap)
        for role in ("forget", "retain", "holdout", "protect"):
            self._columns(role)

    def _chunks(self) -> dict[str, int | None]:
        return {"chunk_tokens": self.chunk_tokens, "chunk_overlap": self.chunk_overlap}

    def _columns(self, role: str) -> Columns:
        own = getattr(self, f"{role}_columns", None)
        return parse_columns(self.columns) if own is None else parse_columns(own, f"--{role}-columns")


@dataclass
class SetReadOptions(ReadOptions):
    """The same, for each set separately."""

    forget_columns: str | None = option(None, help="--columns of the forget set alone", value="OURS=COLUMN,...")
    retain_columns: str | None = option(None, help="--columns of the retain set alone", value="OURS=COLUMN,...")
    holdout_columns: str | None = option(None, help="--columns of the holdout alone", value="OURS=COLUMN,...")

    @classmethod
    def of_reading(cls) -> tuple[str, ...]:
        """Names of these options, with underscores."""
        return tuple(name for kind in (ReadOptions, SetReadOptions) for name in kind.__annotations__)
