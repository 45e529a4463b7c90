"""The table of a command on a run's folder, as JSON, too: `ngdiff ledger` and `ngdiff verify`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import option
from ngdiff.evidence.inputs import files_read
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path
from ngdiff.writing import write_json


@dataclass
class JsonFileOptions:
    """Where the table goes, too."""

    json: str | None = option(None, help="file for the table as JSON", value="FILE")
    overwrite: bool = option(False, help="replace that file")

    def check_json(self, folder: Path) -> None:
        """Refuse a file that cannot be written, or that belongs to the run in `folder`, before any work.

        Raises:
            InputError: as `check_output_file`.
        """
        if self.json is not None:
            inputs = files_read(folder / MANIFEST)
            check_output_file(self.json, option="--json", overwrite=self.overwrite, inputs=inputs)

    def write_json(self, rows: Sequence[Any]) -> None:
        """Write the rows of the table, which are dataclasses, where a file is asked for."""
        if self.json is not None:
            write_json(user_path(self.json, "--json"), [asdict(row) for row in rows])
