"""Evaluation files: numbers that may travel, texts that may not."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ngdiff.errors import WriteError
from ngdiff.file_names import METRICS_FILE, PRIVATE, records_file
from ngdiff.writing import json_lines, write_json, write_text

if TYPE_CHECKING:
    from ngdiff.evaluation.evaluate import EvaluationResult


def write_evaluation(result: "EvaluationResult", output_dir: str | os.PathLike[str]) -> Path:
    """Write `metrics.json` and `private/records_<set>.jsonl` below `output_dir`; returns the path of
    `metrics.json`.

    Records hold the texts of the data. `private/` and its files are therefore readable by their owner only, and tell
    git to ignore all of it. Each file appears whole or not at all (`ngdiff.writing.write_text`);
    `metrics.json` comes last, so that where it exists the records do, too.

    Raises:
        WriteError: the folder cannot be written (disk full, no permission); earlier files are left as they were.
    """
    folder = Path(output_dir)
    private = private_folder(folder)
    for name, records in result.records.items():
        write_text(private / records_file(name), json_lines(records), private=True)
    path = folder / METRICS_FILE
    write_json(path, result.as_json())
    return path


def private_folder(output_dir: str | os.PathLike[str]) -> Path:
    """Make `private/` below an output folder: for its owner only, and ignored by git."""
    private = Path(output_dir) / PRIVATE
    try:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.chmod(0o700)  # it may have been there, or the umask may have taken more away
    except OSError as error:
        raise WriteError(private, error) from error
    for file in private.iterdir():  # of a version that left them to the umask
        if file.is_file() and not file.is_symlink():
            file.chmod(0o600)
    write_text(private / ".gitignore", "*\n", private=True)
    return private
