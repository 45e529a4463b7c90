"""`read_rows`: from whatever names a data set to its rows."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ngdiff.data.columns import Record, row_from_record, rows_from_records
from ngdiff.data.files import READERS, read_file
from ngdiff.data.folders import dataset_records, is_saved_dataset, read_folder, split_file
from ngdiff.data.hub import HUB_NAME, read_hub
from ngdiff.data.muse import PREFIX as MUSE
from ngdiff.data.muse import muse_rows
from ngdiff.data.overlap import check_overlap
from ngdiff.data.rows import Row
from ngdiff.data.tofu import COMPANIONS, HUB_ID, PARTIAL, join_perturbed
from ngdiff.errors import InputError
from ngdiff.paths import user_path

__all__ = ["check_overlap", "read_rows"]


def read_rows(source: Any, *, role: str = "--forget") -> list[Row]:
    """The rows of a data set, checked.

    Args:
        source: one of
            - `FILE`: `.json` (an array, or JSON Lines), `.jsonl`, `.csv` or `.parquet`;
            - `FOLDER` or `FOLDER:SPLIT`: written by `datasets.save_to_disk`, or with files `SPLIT.json` etc.;
            - a hub name, `OWNER/NAME`, `OWNER/NAME:SPLIT` or `OWNER/NAME:CONFIG:SPLIT`;
            - `muse-news:SPLIT` or `muse-news:FOLDER:SPLIT`: passages of MUSE-News (`ngdiff.data.muse`), which training
              reads as one running text;
            - a `datasets.Dataset`;
            - a sequence of mappings or `Row`s.

            For the splits of TOFU (`locuslab/TOFU:forget10`, or a folder of its files) the paraphrased and
            perturbed answers are joined where they exist.
        role: what the source is, at the start of messages: the option it was given for, such as "--forget".

    Returns:
        At least one row, all of the same column set (see `ngdiff.data.columns`).

    Raises:
        InputError: anything missing, empty, malformed or ambiguous, with file and line.

    >>> read_rows([{"question": "Who?", "answer": "Orla."}])[0].origin
    '--forget, row 1'
    """
    if isinstance(source, str | os.PathLike):
        return _read_named(os.fspath(source), role)
    if isinstance(source, Sequence) and not isinstance(source, bytes | bytearray):
        return _read_sequence(source, role)
    import datasets

    if isinstance(source, datasets.Dataset):
        rows = rows_from_records(dataset_records(source, role))
        return _not_empty(rows, role)
    if isinstance(source, datasets.DatasetDict):
        raise InputError(f"{role}: a DatasetDict with the splits {', '.join(map(str, source))}; pass one of them.")
    raise InputError(
        f"{role}: cannot read rows from a {type(source).__name__}; accepted are a path, a hub name, a "
        "datasets.Dataset and a list of mappings."
    )


def _read_sequence(source: Sequence[Mapping[str, object] | Row], role: str) -> list[Row]:
    rows: list[Row] = []
    for number, item in enumerate(source, start=1):
        origin = f"{role}, row {number}"
        if isinstance(item, Row):
            rows.append(item if item.origin else replace(item, origin=origin))
        else:
            rows.append(row_from_record(item, origin))
        if rows[-1].kind != rows[0].kind:
            raise InputError(
                f"{origin}: a {rows[-1].kind} row, but the first row of this set is a {rows[0].kind} row; "
                "one set must keep to one column set."
            )
    return _not_empty(rows, role)


def _not_empty(rows: list[Row], role: str) -> list[Row]:
    if not rows:
        raise InputError(f"{role}: holds no rows.")
    return rows


def _read_named(source: str, role: str) -> list[Row]:
    path, split = _locate(source)
    if path is None and source.startswith(f"{MUSE}:"):
        where, _, name = source.removeprefix(f"{MUSE}:").rpartition(":")
        return muse_rows(where or None, name)
    if path is not None:
        if not path.is_dir():
            return rows_from_records(read_file(path, split))
        rows = rows_from_records(_not_empty_records(read_folder(path, split), source))
        if split in COMPANIONS and not is_saved_dataset(path):
            companion = split_file(path, COMPANIONS[split])
            if companion is not None:
                rows = _join(rows, read_file(companion), split)
        return rows
    match = HUB_NAME.fullmatch(source)
    if match is None or _looks_like_path(source):
        raise InputError(f"{role} {source or repr(source)}: no such file or folder")
    name, split = match["name"], match["split"]
    rows = rows_from_records(read_hub(name, split))
    if name.lower() == HUB_ID.lower() and split in COMPANIONS:
        rows = _join(rows, read_hub(name, COMPANIONS[split]), split)
    return rows


def _not_empty_records(records: list[Record], source: str) -> list[Record]:
    if not records:
        raise InputError(f"{source}: holds no rows.")
    return records


def _join(rows: list[Row], perturbed: list[Record], split: str) -> list[Row]:
    return join_perturbed(rows, rows_from_records(perturbed), partial=COMPANIONS[split] in PARTIAL)


def _locate(source: str) -> tuple[Path | None, str | None]:
    """The existing file or folder that `source` names, and its split; (None, None) if it names none."""
    if not source:  # Path("") would be the current folder
        return None, None
    whole = user_path(source)
    if whole.exists():
        return whole, None
    # The last colon parts the split off; earlier ones (C:\data) belong to the path.
    base, colon, split = source.rpartition(":")
    if colon and base and split and user_path(base).exists():
        return user_path(base), split
    return None, None


def _looks_like_path(source: str) -> bool:
    base = source.partition(":")[0] or source
    return base.startswith((".", "/", "~")) or Path(base).suffix.lower() in READERS
