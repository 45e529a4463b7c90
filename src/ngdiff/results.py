"""What the commands as functions return: objects that show themselves as tables in notebooks."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evidence.read_run import read_run
from ngdiff.file_names import AUDIT_FILE, CURVES, METRICS_FILE
from ngdiff.report.logs import read_log
from ngdiff.scoring import FORMATS, Comparison, format_table, read_sets


class _Preformatted:
    """Shows its text as it is."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class _InFolder:
    """Stands for its folder wherever a path is taken."""

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)


@dataclass(frozen=True)
class Run(_InFolder):
    """What `unlearn` or `finetune` wrote.

    Args:
        folder: The output folder; `from_pretrained` loads the model from it.
    """

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Hashes, options, versions and numbers (docs/evidence.md)."""
        return read_run(self.folder)[1]

    @property
    def losses(self) -> dict[str, tuple[float | None, float | None]]:
        """Mean loss of each set before and after, in nats per token or image; None where it was no number."""
        extra = self.manifest["extra"]
        before, after = extra.get("losses_before", {}), extra.get("losses_after", {})
        return {name: (before.get(name), value) for name, value in after.items()}

    @property
    def curves(self) -> Path | None:
        """The figure of losses, norms and learning rate, if there is one."""
        file = self.folder / CURVES
        return file if file.is_file() else None

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """Figures of each step of `unlearn`; empty for `finetune`, which writes none.

        Raises:
            InputError: the file is damaged.
        """
        return [dict(row) for row in read_log(self.folder).steps]

    def __str__(self) -> str:
        rows = [
            f"{name} loss: {_shown(before)} before, {_shown(after)} after" for name, (before, after) in self._rows()
        ]
        return "\n".join([f"{self.folder}", *rows])

    def _repr_html_(self) -> str:
        rows = [[name, _shown(before), _shown(after)] for name, (before, after) in self._rows()]
        unit = "image" if read_run(self.folder)[0].get("task") == "image" else "token"
        return _html_table([f"loss, nats per {unit}", "before", "after"], rows, caption=str(self.folder))

    def _rows(self) -> list[tuple[str, tuple[float | None, float | None]]]:
        return sorted(self.losses.items())


@dataclass(frozen=True)
class Evaluation(_InFolder, _Preformatted):
    """What `evaluate` wrote.

    Args:
        folder: The output folder; `private/` holds the records.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The contents of `metrics.json`: by set, and over all."""
        return _contents(self.folder / METRICS_FILE)

    @cached_property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        """By set, a record for each row: `prompt`, `reference`, `generated` and what was measured. They hold texts.

        Raises:
            InputError: they are gone, or a line is not valid.
        """
        return read_sets([self.folder])

    def __str__(self) -> str:
        return format_table({name: value for name, value in self.metrics.items() if name != "lm_eval"})


@dataclass(frozen=True)
class Table(_Preformatted):
    """What `compare` found."""

    comparison: Comparison

    def to(self, form: str) -> str:
        """The table as `text`, `markdown`, `csv` or `latex`.

        Raises:
            InputError: another form.
        """
        if form not in FORMATS:
            raise InputError(f"{form} is no form of a table; one of {', '.join(FORMATS)}")
        return FORMATS[form](self.comparison)

    def values(self) -> dict[str, dict[str, float | None]]:
        """Run -> key of a number -> the number; for `pandas.DataFrame.from_dict(..., orient="index")`."""
        keys = [quantity.key for quantity in self.comparison.quantities]
        return {
            name: dict(zip(keys, row, strict=True))
            for name, row in zip(self.comparison.names, self.comparison.values, strict=True)
        }

    def __str__(self) -> str:
        return self.to("text")


@dataclass(frozen=True)
class Audit(_InFolder, _Preformatted):
    """What `audit` wrote.

    Args:
        folder: The output folder; `private/` holds the records.
    """

    folder: Path

    @cached_property
    def found(self) -> dict[str, Any]:
        """The contents of `audit.json`."""
        return _contents(self.folder / AUDIT_FILE)

    @property
    def robustness(self) -> float | None:
        """1: no attack brings back more than from the reference; None without a reference."""
        value: float | None = self.found["robustness"]
        return value

    def __str__(self) -> str:
        from ngdiff.cli.audit_table import audit_table

        return audit_table(self.found)


def _contents(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption>{line(head, 'th')}{body}</table>"
