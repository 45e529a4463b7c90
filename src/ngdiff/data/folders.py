"""Read a local folder: one written by `datasets.save_to_disk`, or one of data files named by split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ngdiff.data.columns import Record
from ngdiff.data.files import READERS, read_file
from ngdiff.data.parquet import used_columns
from ngdiff.errors import InputError

# What `datasets.load_from_disk` raises for files that are not as it wrote them; the last three: JSON of another shape.
SAVED_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError)


def split_file(folder: Path, split: str) -> Path | None:
    """`FOLDER/SPLIT.{json,jsonl,csv,parquet}`, or None where there is none.

    Raises:
        InputError: the split exists in two formats.
    """
    found = [path for suffix in READERS if (path := folder / f"{split}{suffix}").is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder}: split '{split}' exists more than once ({names}); name the file itself.")
    return found[0] if found else None


def read_folder(folder: Path, split: str | None) -> list[Record]:
    """The records of one split of a folder. Without a split the folder must have exactly one.

    Raises:
        InputError: no data in the folder, no such split, or several and none named.
    """
    if is_saved_dataset(folder):
        return _read_saved(folder, split)
    names = sorted({path.stem for path in folder.iterdir() if path.is_file() and path.suffix.lower() in READERS})
    if not names:
        raise InputError(f"{folder}: holds neither data files ({', '.join(READERS)}) nor a saved data set.")
    if split is None:
        if len(names) > 1:
            raise InputError(f"{folder}: holds several splits ({', '.join(names)}); name one as {folder}:SPLIT.")
        split = names[0]
    path = split_file(folder, split)
    if path is None:
        raise InputError(f"{folder}: has no split '{split}'; it has {', '.join(names)}.")
    return read_file(path)


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _read_saved(folder: Path, split: str | None) -> list[Record]:
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
        return dataset_records(loaded, str(folder))
    names = [str(name) for name in loaded]
    if split is None and len(names) > 1:
        raise InputError(f"{folder}: holds several splits ({', '.join(names)}); name one as {folder}:SPLIT.")
    name = names[0] if split is None else split
    if name not in names:
        raise InputError(f"{folder}: has no split '{name}'; it has {', '.join(names)}.")
    return dataset_records(loaded[name], f"{folder}:{name}")


def dataset_records(dataset: Any, name: str, columns: Sequence[str] | None = None) -> list[Record]:
    """The records of a `datasets.Dataset`, numbered from 1; columns that are not used are None.

    Args:
        dataset: the data set.
        name: what it is called in messages.
        columns: those that are used; by default what a row is made of.

    Raises:
        InputError: values that Python cannot hold in a column that is used.
    """
    names = dataset.column_names
    used = used_columns(names) if columns is None else [column for column in columns if column in names]
    if not used:  # the names say what is wrong; one row is enough to say it of
        first: Record = (f"{name}, row 1", dict.fromkeys(names))
        return [first][: len(dataset)]
    others = dict.fromkeys(column for column in names if column not in used)
    plain = dataset.select_columns(used).with_format(None)  # Python values, whatever tensor format the caller has set
    records: list[Record] = []
    try:
        for record in plain:
            records.append((f"{name}, row {len(records) + 1}", record | others))
    except (ValueError, OverflowError) as error:  # also text that is not UTF-8
        raise InputError(f"{name}, row {len(records) + 1}: cannot be read ({error})") from error
    return records
