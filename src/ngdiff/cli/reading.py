"""Options of how files of rows are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ngdiff.cli import holdout_auto, own_answers
from ngdiff.cli.own_answers import AUTO
from ngdiff.cli.parsing import option
from ngdiff.data import Row, read_rows
from ngdiff.data.documents import check_chunk
from ngdiff.data.forms import Columns, parse_columns
from ngdiff.data.rows import Kind
from ngdiff.errors import InputError
from ngdiff.option import dashed
from ngdiff.ranges import COUNT, COUNT_OR_NONE, Range

_COLUMNS = "question=COLUMN,answer=COLUMN, or prompt=,completion=, text=, messages=; alpaca; sharegpt (found by name)"


OF_TEXTS = ("chunk_tokens", "chunk_overlap")  # those for texts without a prompt
READING = ("columns", *OF_TEXTS)  # of `ngdiff.data.read_rows`, as the manifest has them

# What rows of each kind are called.
_FORMS: dict[Kind, str] = {
    "qa": "questions and answers",
    "completion": "prompts and completions",
    "messages": "conversations",
    "text": "texts",
    "raw": "prompts and completions",
    "corpus": "passages of a running text, which is cut at --max-length",
}

# Sets that `ngdiff unlearn` can make.
_MADE: dict[str, Callable[[str], InputError]] = {
    "holdout": holdout_auto.refuse_elsewhere,
    **{role: partial(own_answers.refuse_elsewhere, role) for role in own_answers.FILES},
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

    def check_used(self, sets: Mapping[str, Sequence[Row]]) -> None:
        """Refuse options by which no row was read.

        Args:
            sets: By name of its option, what was read of each; one row of each suffices, as all are of the same kind.

        Raises:
            InputError: columns where no file was read by them, or chunks where no set has texts that are split.
        """
        self._check_columns_used(sets)
        texts = {role: rows for role, rows in sets.items() if rows[0].kind == "text"}
        for name in OF_TEXTS:
            if (value := getattr(self, name)) is not None and not texts:
                of = ", ".join(f"--{role} has {_FORMS[rows[0].kind]}" for role, rows in sets.items())
                raise InputError(
                    f"{dashed(name)} {value} changes nothing: it is for documents and other texts without a prompt, "
                    f"and {of or 'no rows of your own are read'}; leave it out"
                )
        documents = any(rows[0].document for rows in texts.values())
        if self.chunk_tokens is None and self.chunk_overlap is not None and not documents:
            raise InputError(
                f"--chunk-overlap {self.chunk_overlap} changes nothing without --chunk-tokens: texts that are no "
                f"documents (--{', --'.join(texts)}) are then split without overlap"
            )

    def _check_columns_used(self, sets: Mapping[str, Sequence[Row]]) -> None:
        own = {role: getattr(self, f"{role}_columns", None) for role in ("forget", "retain", "holdout", "protect")}
        for role, value in own.items():
            if value is not None and role not in sets:
                raise InputError(f"--{role}-columns {value} changes nothing without --{role} FILE")
        if self.columns is not None and not sets:
            raise InputError(f"--columns {self.columns} changes nothing: no rows of your own are read; leave it out")

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
