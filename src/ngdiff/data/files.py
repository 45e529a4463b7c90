"""Read one data file into records, each with its line: `.json`, `.jsonl`, `.csv`, `.parquet`; also compressed.

JSON and CSV are read here rather than by `datasets`, so that errors name the line and no copy is made in a cache
outside the user's folders. UTF-8 with or without a byte order mark, LF or CRLF.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ngdiff.data import shown
from ngdiff.data.compressed import OPENERS, read_bytes, stem_and_kind
from ngdiff.data.forms import Columns
from ngdiff.data.json_text import JSONError, decode, decode_all, skip_space
from ngdiff.data.parquet import read_parquet
from ngdiff.data.row_reader import Record
from ngdiff.errors import InputError
from ngdiff.paths import check_regular

DOCUMENTS = (".txt", ".md")  # each file is one row: `ngdiff.data.documents`


def read_file(path: Path, split: str | None = None, *, columns: Columns | None = None) -> list[Record]:
    """The records of one file.

    A file has one split, called `train` as `datasets` calls it, except for a `.json` file that holds one
    object of arrays (`{"forget": [...], "retain": [...]}`), whose keys are its splits.

    Raises:
        InputError: missing, empty, unreadable or malformed file, an unknown suffix or split.
    """
    kind = stem_and_kind(path)[1]
    if kind not in READERS:
        raise InputError(
            f"{path}: unknown kind of file '{kind or path.suffix}'; accepted are {', '.join((*READERS, *DOCUMENTS))}, "
            f"also compressed ({', '.join(OPENERS)})."
        )
    try:
        check_regular(path)  # before its size is looked at, which says nothing of a pipe
        empty = path.stat().st_size == 0
        splits = {} if empty else READERS[kind](path, columns or Columns())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if empty:
        raise InputError(f"{path}: the file is empty.")
    for number, name in enumerate(splits, start=1):
        if not _is_encodable(name):
            raise InputError(f"{path}: the name of split {number} has half a surrogate pair.")
    if split is None and len(splits) > 1:
        raise InputError(f"{path}: holds several splits ({shown.splits(splits)}); name one as {path}:SPLIT.")
    name = split if split is not None else next(iter(splits))
    if name not in splits:
        raise InputError(f"{path}: has no split '{name}'; it has {shown.splits(splits)}.")
    if not splits[name]:
        raise InputError(f"{path}: holds no rows.")
    return splits[name]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, compressed or not, without its byte order mark.

    Raises:
        InputError: no regular file, a damaged one, or not UTF-8.
        OSError: it cannot be read.
    """
    data = read_bytes(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: this is UTF-16 or UTF-32 text; save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text (byte {data[error.start]:#04x}).") from None


def _read_json(path: Path, columns: Columns) -> dict[str, list[Record]]:
    """A JSON array, one object of arrays, or JSON Lines under the name `.json` (as TOFU's files are)."""
    text = read_text(path)
    start = skip_space(text, 0)
    if text[start : start + 1] == "[":
        return {"train": _array(path, text, start)}
    try:
        value, end = decode(text, start)
    except JSONError:
        return _read_jsonl(path, columns)  # Malformed in either form; the line reader says where.
    alone = skip_space(text, end) == len(text)
    if alone and isinstance(value, dict) and value and all(_is_array_of_objects(v) for v in value.values()):
        return {
            str(name): [
                (f"{path}:{shown.split(str(name), index)}, row {number}", row)
                for number, row in enumerate(rows, start=1)
            ]
            for index, (name, rows) in enumerate(value.items(), start=1)
        }
    if alone and isinstance(value, dict):
        return {"train": [(f"{path}, line {text.count(chr(10), 0, start) + 1}", value)]}
    return _read_jsonl(path, columns)


def _is_array_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _array(path: Path, text: str, start: int) -> list[Record]:
    """Elements of the array that begins at `start`, each with its line, and its number where a line has several."""
    found: list[tuple[int, object]] = []
    line, counted = 1, 0
    position = skip_space(text, start + 1)
    if text[position : position + 1] == "]":
        position += 1
    else:
        while True:
            line, counted = line + text.count("\n", counted, position), position
            value, position = _decode(text, position, path)
            found.append((line, value))
            position = skip_space(text, position)
            mark = text[position : position + 1]
            position = skip_space(text, position + 1)
            if mark == "]":
                break
            if mark != ",":
                line += text.count("\n", counted, position)
                raise InputError(f"{path}, line {line}: not valid JSON (expected ',' or ']' after a row).")
    if skip_space(text, position) != len(text):
        line = text.count("\n", 0, position) + 1
        raise InputError(f"{path}, line {line}: not valid JSON (text after the end of the array).")
    apart = len({line for line, _ in found}) == len(found)
    names = [f"{path}, line {line}{'' if apart else f', row {n}'}" for n, (line, _) in enumerate(found, start=1)]
    return [(name, _object(value, name)) for name, (_, value) in zip(names, found, strict=True)]


def _decode(text: str, position: int, path: Path) -> tuple[object, int]:
    try:
        return decode(text, position)
    except JSONError as error:
        line = text.count("\n", 0, position if error.position is None else error.position) + 1
        raise InputError(f"{path}, line {line}: not valid JSON ({error}).") from None


def _read_jsonl(path: Path, _: Columns) -> dict[str, list[Record]]:
    records: list[Record] = []
    for number, line in enumerate(_lines(read_text(path)), start=1):
        if not line.strip():
            continue
        origin = f"{path}, line {number}"
        try:
            # Concatenated files keep their byte order marks.
            value = decode_all(line.removeprefix("\ufeff"))
        except JSONError as error:
            column = "" if error.position is None else f", column {error.position + 1}"
            raise InputError(f"{origin}: not valid JSON ({error}{column}).") from None
        records.append((origin, _object(value, origin)))
    return {"train": records}


def _lines(text: str) -> Iterator[str]:
    """Lines of a text, one at a time, so that a large file is in memory once.

    Not those of `str.splitlines`, which also splits at U+2028 and other characters that JSON strings may contain.
    """
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _object(value: object, origin: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        found = "null" if value is None else type(value).__name__
        raise InputError(f"{origin}: a row must be a JSON object with named columns, found {found}.")
    return value


def _read_csv(path: Path, columns: Columns) -> dict[str, list[Record]]:
    text = read_text(path)
    # The limit on a cell's length (131072 by default) is meant for streams; here the text is in memory
    # already.
    previous_limit = csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        return {"train": list(_csv_records(path, text, columns))}
    finally:
        csv.field_size_limit(previous_limit)


def _csv_records(path: Path, text: str, columns: Columns) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    lists: set[str] = set()
    optional: set[str] = set()

    def value_of(name: str, cell: str, origin: str) -> object:
        if name in optional and not cell.strip():
            return None
        return _list(name, cell, origin) if name in lists else cell

    first_line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: not valid CSV ({error}).") from None
        if cells is None:
            return
        origin, first_line = f"{path}, line {first_line}", reader.line_num + 1
        if not cells:
            continue
        if header is None:
            header = [name.strip() for name in cells]
            if len(header) == 1 and (sign := next((one for one in ";\t" if one in header[0]), None)) is not None:
                raise InputError(
                    f"{origin}: a single column, whose name contains {sign!r}: cells must be separated by commas; save "
                    "the file with commas."
                )
            if len(set(header)) < len(header):
                names = ", ".join(shown.column(name, number) for number, name in enumerate(header, start=1))
                raise InputError(f"{origin}: a column name occurs twice: {names}.")
            lists, optional = columns.lists(header), columns.may_be_empty(header)
        elif len(cells) != len(header):
            raise InputError(f"{origin}: found {len(cells)} cells, the header has {len(header)} columns.")
        else:
            yield origin, {name: value_of(name, cell, origin) for name, cell in zip(header, cells, strict=True)}


def _list(name: str, cell: str, origin: str) -> object:
    try:
        return decode_all(cell)
    except JSONError:
        raise InputError(f"{origin}: column '{name}' of a CSV file must be written as a JSON list.") from None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_parquet(path: Path, columns: Columns) -> dict[str, list[Record]]:
    return {"train": read_parquet(path, columns)}


READERS: dict[str, Callable[[Path, Columns], dict[str, list[Record]]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
