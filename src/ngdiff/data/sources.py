"""`read_rows`: from whatever names a data set to its rows."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ngdiff.data.compressed import stem_and_kind
from ngdiff.data.documents import CHUNK, check_chunk, documents_in, files_named, is_document, read_documents
from ngdiff.data.files import DOCUMENTS, READERS, read_file
from ngdiff.data.folders import dataset_records, is_saved_dataset, read_folder, split_file, split_files
from ngdiff.data.forms import Columns, parse_columns
from ngdiff.data.hub import HUB_NAME, read_hub
from ngdiff.data.muse import PREFIX as MUSE
from ngdiff.data.muse import muse_rows
from ngdiff.data.overlap import check_overlap
from ngdiff.data.row_reader import Record, RowReader, read_records, rows_from_records
from ngdiff.data.rows import Chunk, Row
from ngdiff.data.tofu import COMPANIONS, HUB_ID, PARTIAL, join_perturbed
from ngdiff.errors import InputError
from ngdiff.paths import is_pattern, user_path
from ngdiff.plurals import number_of

__all__ = ["check_overlap", "read_rows"]

logger = logging.getLogger(__name__)


def read_rows(
    source: Any,
    *,
    role: str = "--forget",
    columns: Columns | str | None = None,
    chunk_tokens: int | None = None,
    chunk_overlap: int | None = None,
) -> list[Row]:
    """The rows of a data set, checked.

    Args:
        source: One of
            - `FILE`: `.json` (an array, or JSON Lines), `.jsonl`, `.csv` or `.parquet`, or a document, `.txt` or `.md`;
              also compressed, with `.gz`, `.bz2`, `.xz` or `.zst` behind;
            - `FOLDER` or `FOLDER:SPLIT`: written by `datasets.save_to_disk`; with files `SPLIT.json` etc., in parts
              (`SPLIT-00000-of-00002.parquet`) or whole, there or in `data/` below, as on the hub; or with documents;
            - a pattern with `*` or `?`, of files of rows or of documents, such as `notes/**/*.md`;
            - a hub name, `OWNER/NAME`, `OWNER/NAME:SPLIT` or `OWNER/NAME:CONFIG:SPLIT`;
            - `muse-news:SPLIT` or `muse-news:FOLDER:SPLIT`: passages of MUSE-News (`ngdiff.data.muse`), which training
              reads as one running text;
            - a `datasets.Dataset`;
            - a sequence of mappings or `Row`s.

            For the splits of TOFU (`locuslab/TOFU:forget10`, or a folder of its files) the paraphrased and
            perturbed answers are joined where they exist.
        role: What the source is, at the start of messages: the option it was given for, such as "--forget".
        columns: Which columns rows are made of, as `--columns` takes them (`ngdiff.data.forms`); None: found by name.
        chunk_tokens: Most tokens of a chunk of a text without a prompt; None: 512 of documents, of other texts as many
            as a model sees at once.
        chunk_overlap: How many of them are the end of the chunk before, which is not learned again; None: an eighth.

    Returns:
        At least one row, all of the same column set (see `ngdiff.data.row_reader`).

    Raises:
        InputError: anything missing, empty, malformed or ambiguous, with file and line.

    >>> read_rows([{"question": "Who?", "answer": "Orla."}])[0].origin
    '--forget, row 1'
    """
    chosen = columns if isinstance(columns, Columns) else parse_columns(columns)
    chunk = check_chunk(chunk_tokens, chunk_overlap)
    rows = _read(source, role, chosen)
    return [_chunked(row, chunk, chunk_overlap) for row in rows] if rows[0].kind == "text" else rows


def _chunked(row: Row, chunk: Chunk | None, overlap: int | None) -> Row:
    if chunk is None and row.document and overlap is not None:
        chunk = CHUNK._replace(overlap=overlap)
    return row if chunk is None else replace(row, chunk=chunk)


def _read(source: Any, role: str, chosen: Columns) -> list[Row]:
    if isinstance(source, str | os.PathLike):
        return _read_named(os.fspath(source), role, chosen)
    if isinstance(source, Sequence) and not isinstance(source, bytes | bytearray):
        return _read_sequence(source, role, chosen)
    import datasets

    if isinstance(source, datasets.Dataset):
        return _not_empty(_read_as(dataset_records(source, role, chosen.used), role, chosen), role)
    if isinstance(source, datasets.DatasetDict):
        raise InputError(f"{role}: a DatasetDict with the splits {', '.join(map(str, source))}; pass one of them.")
    hint = ' (of a DataFrame: frame.to_dict("records"))' if hasattr(source, "to_dict") else ""
    raise InputError(
        f"{role}: cannot read rows from a {type(source).__name__}; accepted are a path, a hub name, a "
        f"datasets.Dataset and a list of mappings{hint}."
    )


def _read_sequence(source: Sequence[Mapping[str, object] | Row], role: str, columns: Columns) -> list[Row]:
    rows: list[Row] = []
    reader = RowReader(columns)
    for number, item in enumerate(source, start=1):
        origin = f"{role}, row {number}"
        if isinstance(item, Row):
            rows.append(item if item.origin else replace(item, origin=origin))
        else:
            rows.append(reader.row(item, origin))
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


def _read_as(records: list[Record], name: str, columns: Columns) -> list[Row]:
    """Rows of records; says how they are read where that does not go without saying."""
    rows, said = read_records(records, columns)
    if said:
        logger.info("%s: read as %s.", name, said)
    return rows


def _read_named(source: str, role: str, columns: Columns) -> list[Row]:
    path, split = _locate(source)
    name = f"{role} {source}"
    if path is None and source.startswith(f"{MUSE}:"):
        if columns.given is not None:
            raise InputError(f"{columns.option} {columns.given}: {name} holds passages, which have no columns")
        where, _, part = source.removeprefix(f"{MUSE}:").rpartition(":")
        return muse_rows(where or None, part)
    if path is None and is_pattern(source):
        return _read_files(files_named(source), name, columns)
    if path is not None and not path.is_dir():
        if is_document(path) and split is None:
            return _read_files([path], name, columns)
        return _read_as(read_file(path, split, columns=columns), name, columns)
    if path is not None:
        return _read_folder(path, split, name, columns)
    match = HUB_NAME.fullmatch(source)
    if match is None or _looks_like_path(source):
        raise InputError(f"{role} {source or repr(source)}: no such file or folder")
    hub, split = match["name"], match["split"]
    rows = _read_as(read_hub(hub, split, columns.used), name, columns)
    if hub.lower() == HUB_ID.lower() and split in COMPANIONS:
        rows = _join(rows, read_hub(hub, COMPANIONS[split]), split)
    return rows


def _read_files(paths: Sequence[Path], name: str, columns: Columns) -> list[Row]:
    """The rows of several files, which are all documents or none."""
    documents = [path for path in paths if is_document(path)]
    if not paths:
        raise InputError(f"{name}: no file has a name like that")
    if not documents:
        return _read_as([record for path in paths for record in read_file(path, columns=columns)], name, columns)
    if other := next((path for path in paths if not is_document(path)), None):
        raise InputError(f"{name}: {documents[0]} is a document and {other} is none; name them by two patterns")
    if columns.given is not None:
        raise InputError(f"{columns.option} {columns.given}: {name} holds documents, which have no columns")
    logger.info("%s: read as %s.", name, number_of(len(documents), "document"))
    return read_documents(documents)


def _read_folder(folder: Path, split: str | None, name: str, columns: Columns) -> list[Row]:
    if not is_saved_dataset(folder) and not split_files(folder) and (documents := documents_in(folder)):
        if split is not None:
            raise InputError(f"{name}: {folder} holds documents, which have no splits; there is no '{split}'")
        return _read_files(documents, name, columns)
    rows = _read_as(read_folder(folder, split, columns), name, columns)
    if not rows:
        raise InputError(f"{folder}: holds no rows.")
    if split in COMPANIONS and not is_saved_dataset(folder):
        companion = split_file(folder, COMPANIONS[split])
        if companion is not None:
            rows = _join(rows, read_file(companion), split)
    return rows


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
    return base.startswith((".", "/", "~")) or stem_and_kind(Path(base))[1] in (*READERS, *DOCUMENTS)
