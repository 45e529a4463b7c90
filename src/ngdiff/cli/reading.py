"""Options of how files of rows are read."""

from dataclasses import dataclass
from typing import Any

from ngdiff.cli.parsing import option
from ngdiff.data import Row, read_rows
from ngdiff.data.forms import Columns, parse_columns

_COLUMNS = "question=COLUMN,answer=COLUMN, or prompt=,completion=, text=, messages=; alpaca; sharegpt (found by name)"


@dataclass
class ReadOptions:
    """What the columns of a file are."""

    columns: str | None = option(
        None, help=f"which columns of the files rows are made of: {_COLUMNS}", value="OURS=COLUMN,..."
    )

    def reading(self, role: str) -> dict[str, Any]:
        """What was asked for of one set, for the manifest and for `ngdiff.data.read_rows`."""
        columns = self._columns(role).given
        return {} if columns is None else {"columns": columns}

    def read(self, role: str, source: str) -> list[Row]:
        """The rows of one set.

        Args:
            role: Name of its option, without dashes.
            source: As given.

        Raises:
            InputError: as `ngdiff.data.read_rows`.
        """
        return read_rows(source, role=f"--{role}", columns=self._columns(role))

    def check_reading(self) -> None:
        """Refuse what cannot be meant, before any file is read.

        Raises:
            InputError: column names.
        """
        for role in ("forget", "retain", "holdout"):
            self._columns(role)

    def _columns(self, role: str) -> Columns:
        own = getattr(self, f"{role}_columns", None)
        return parse_columns(self.columns) if own is None else parse_columns(own, f"--{role}-columns")


@dataclass
class SetReadOptions(ReadOptions):
    """The same, for each set apart."""

    forget_columns: str | None = option(None, help="--columns of the forget set alone", value="OURS=COLUMN,...")
    retain_columns: str | None = option(None, help="--columns of the retain set alone", value="OURS=COLUMN,...")
    holdout_columns: str | None = option(None, help="--columns of the holdout alone", value="OURS=COLUMN,...")

    @classmethod
    def of_reading(cls) -> tuple[str, ...]:
        """Names of these options, with underscores."""
        return tuple(name for kind in (ReadOptions, SetReadOptions) for name in kind.__annotations__)
