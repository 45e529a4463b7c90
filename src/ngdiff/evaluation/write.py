"""Evaluation files: numbers that may travel, texts that may not."""

import json
import os
from pathlib import Path

from ngdiff.evaluation.evaluate import EvaluationResult


def write_evaluation(result: EvaluationResult, output_dir: str | os.PathLike[str]) -> Path:
    """Write `metrics.json` and `private/records_<set>.jsonl` below `output_dir`; returns the path of
    `metrics.json`.

    Records hold the texts of the data. `private/` is therefore readable by its owner only and tells git to
    ignore all of it. Each file appears whole or not at all (written beside its place, then renamed);
    `metrics.json` comes last, so that where it exists the records do, too.

    Raises:
        OSError: the folder cannot be written (disk full, no permission); earlier files are left as they were.
    """
    folder = Path(output_dir)
    private = folder / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    private.chmod(0o700)  # it may have been there, or the umask may have taken more away
    _write_whole(private / ".gitignore", "*\n")
    for name, records in result.records.items():
        lines = [json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records]
        _write_whole(private / f"records_{name}.jsonl", "".join(lines))
    path = folder / "metrics.json"
    _write_whole(path, json.dumps(result.as_json(), indent=2, allow_nan=False) + "\n")
    return path


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # gone already, unless something above failed
