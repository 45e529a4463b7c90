"""Read a local folder: one written by `datasets.save_to_disk`, or one of data files named by split."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ngdiff.data.compressed import stem_and_kind
from ngdiff.data.files import DOCUMENTS, READERS, read_file
from ngdiff.data.forms import Columns
from ngdiff.data.row_reader import Record
from ngdiff.errors import InputError
from ngdiff.own_folders import is_ours

_USED = Columns().used
# Files of a data set's card, which contain no rows.
_NO_ROWS = ("dataset_infos.json", "dataset_info.json", "config.json")
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")

# Errors of `datasets.load_from_disk` for damaged files; the last three: JSON of another structure.
SAVED_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError)


def split_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split: `SPLIT.jsonl` and its like, or `SPLIT-00000-of-00002.parquet`, as the hub has them; in
    the folder or in `data/` below it.

    Raises:
        InputError: a split with files of its own twice, or one that lacks a part.
    """
    found: dict[str, list[Path]] = {}
    for place in (folder, folder / "data"):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            stem, kind = stem_and_kind(path)
            if kind not in READERS or path.name in _NO_ROWS or path.name.startswith(".") or not path.is_file():
                continue
            shard = _SHARD.fullmatch(stem)
            found.setdefault(shard["split"] if shard else stem, []).append(path)
    return {name: found[name] for name in sorted(found)}


def _parts(folder: Path, split: str, paths: list[Path]) -> list[Path]:
    """The files of a split in order, all of them."""
    if len(paths) == 1 and not _SHARD.fullmatch(stem_and_kind(paths[0])[0]):
        return paths
    shards = [_SHARD.fullmatch(stem_and_kind(path)[0]) for path in paths]
    counts = {int(shard["count"]) for shard in shards if shard}
    numbers = [int(shard["number"]) for shard in shards if shard]
    if None in shards or len(counts) > 1 or len(set(numbers)) < len(numbers):
        names = ", ".join(path.relative_to(folder).as_posix() for path in paths)
        raise InputError(f"{folder}: split '{split}' exists more than once ({names}); name the file itself.")
    missing = sorted(set(range(min(counts))) - set(numbers))
    if missing:
        raise InputError(
            f"{folder}: split '{split}' lacks {len(missing)} of its {min(counts)} files, the first "
            f"{split}-{missing[0]:05d}-of-{min(counts):05d}."
        )
    return [path for _, path in sorted(zip(numbers, paths, strict=True))]


def split_file(folder: Path, split: str) -> Path | None:
    """The only file of a split, or None if there is none.

    Raises:
        InputError: the split exists in two formats.
    """
    paths = split_files(folder).get(split)
    return None if paths is None else _parts(folder, split, paths)[0]


def read_folder(folder: Path, split: str | None, columns: Columns | None = None) -> list[Record]:
    """The records of one split of a folder. Without a split the folder must have exactly one.

    Raises:
        InputError: no data in the folder, no such split, or several and none named.
    """
    if is_saved_dataset(folder):
        return _read_saved(folder, split, columns or Columns())
    found = split_files(folder)
    if not found:
        raise InputError(
            f"{folder}: holds neither data files ({', '.join(READERS)}) nor a saved data set nor documents "
            f"({', '.join(DOCUMENTS)})."
        )
    names = ", ".join(found)
    if split is None:
        if is_ours(folder):
            raise InputError(
                f"{folder}: this is an output folder of ngdiff, not a folder of rows; name a file with rows."
            )
        if len(found) > 1:
            raise InputError(f"{folder}: holds several splits ({names}); name one as {folder}:SPLIT.")
        split = next(iter(found))
    if split not in found:
        raise InputError(f"{folder}: has no split '{split}'; it has {names}.")
    return [record for path in _parts(folder, split, found[split]) for record in read_file(path, columns=columns)]


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _read_saved(folder: Path, split: str | None, columns: Columns) -> list[Record]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except IndexError as error:  # datasets writes a set without rows but fails to load it
        raise InputError(f"{folder}: holds no rows.") from error
    except SAVED_DAMAGE as error:
        raise InputError(f"{folder}: the saved data set cannot be read ({error}).") from error
    if isinstance(loaded, datasets.Dataset):
        if split not in (None, "train"):
            raise InputError(f"{folder}: has no split '{split}'; it holds a single set.")
        return dataset_records(loaded, str(folder), columns.used)
    names = [str(name) for name in loaded]
    if split is None and len(names) > 1:
        raise InputError(f"{folder}: holds several splits ({', '.join(names)}); name one as {folder}:SPLIT.")
    name = names[0] if split is None else split
    if name not in names:
        raise InputError(f"{folder}: has no split '{name}'; it has {', '.join(names)}.")
    return dataset_records(loaded[name], f"{folder}:{name}", columns.used)


def dataset_records(dataset: Any, name: str, used: Callable[[Sequence[str]], list[str]] = _USED) -> list[Record]:
    """The records of a `datasets.Dataset`, numbered from 1; columns that are not used are None.

    Args:
        dataset: The data set.
        name: Its name in messages.
        used: Selects the columns to read by their names; by default all that a row can use.

    Raises:
        InputError: values that Python cannot hold in a column that is used.
    """
    names = dataset.column_names
    wanted = used(names)
    if not wanted:  # an error follows, for which one row is enough
        first: Record = (f"{name}, row 1", dict.fromkeys(names))
        return [first][: len(dataset)]
    others = dict.fromkeys(column for column in names if column not in wanted)
    plain = dataset.select_columns(wanted).with_format(None)  # Python values, whatever tensor format the caller has set
    records: list[Record] = []
    try:
        for record in plain:
            records.append((f"{name}, row {len(records) + 1}", record | others))
    except (ValueError, OverflowError) as error:  # also text that is not UTF-8
        raise InputError(f"{name}, row {len(records) + 1}: cannot be read ({error})") from error
    return records
