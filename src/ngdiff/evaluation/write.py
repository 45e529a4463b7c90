"""Evaluation files: numbers that may travel, texts that may not."""

import json
import os
from pathlib import Path

from ngdiff.evaluation.evaluate import EvaluationResult
from ngdiff.files import write_json, write_text


def write_evaluation(result: EvaluationResult, output_dir: str | os.PathLike[str]) -> Path:
    """Write `metrics.json` and `private/records_<set>.jsonl` below `output_dir`; returns the path of
    `metrics.json`.

    Records hold the texts of the data. `private/` is therefore readable by its owner only and tells git to
    ignore all of it. Each file appears whole or not at all (`ngdiff.files.write_text`);
    `metrics.json` comes last, so that where it exists the records do, too.

    Raises:
        OSError: the folder cannot be written (disk full, no permission); earlier files are left as they were.
    """
    folder = Path(output_dir)
    private = private_folder(folder)
    for name, records in result.records.items():
        lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records]
        write_text(private / f"records_{name}.jsonl", "".join(lines))
    path = folder / "metrics.json"
    write_json(path, result.as_json())
    return path


def private_folder(output_dir: str | os.PathLike[str]) -> Path:
    """Make `private/` below an output folder: for its owner only, and ignored by git."""
    private = Path(output_dir) / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    private.chmod(0o700)  # it may have been there, or the umask may have taken more away
    write_text(private / ".gitignore", "*\n")
    return private
