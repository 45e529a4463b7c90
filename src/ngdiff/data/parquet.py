"""Read a Parquet file: the columns that rows use, and only the names of the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ngdiff.data.compressed import OPENERS, read_bytes
from ngdiff.data.forms import Columns
from ngdiff.data.row_reader import Record
from ngdiff.data.unpacked import check_unpacked
from ngdiff.errors import InputError

_BATCH = 256  # rows: few enough that a large value repeated in all of them fits into memory


def read_parquet(path: Path, columns: Columns | None = None) -> list[Record]:
    """The records of a Parquet file, numbered from 1. Columns that are not used are None.

    The contents of those columns are not checked: texts that are not UTF-8 or dates out of Python's range do no harm.

    Raises:
        InputError: not a Parquet file or a damaged one, two columns with one name, values that Python cannot represent,
            or implausibly many texts for the size of the file.
    """
    import pyarrow
    import pyarrow.parquet

    packed = path.suffix.lower() in OPENERS
    source = pyarrow.BufferReader(read_bytes(path)) if packed else path
    try:
        with pyarrow.parquet.ParquetFile(source, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            used = (columns or Columns()).used(names)
            repeated = next((name for name in used if names.count(name) > 1), None)
            if repeated is not None:
                raise InputError(f"{path}: two columns of the name '{repeated}'; there must be one.")
            return list(_records(path, file, used, names))
    except InputError:
        raise
    except (pyarrow.ArrowException, ValueError, LookupError) as error:  # damaged names are met in Python
        raise InputError(f"{path}: not a readable Parquet file ({str(error).partition(chr(10))[0]}).") from error


def _records(path: Path, file: Any, used: list[str], names: list[str]) -> Iterator[Record]:
    packed, unpacked, number = path.stat().st_size, 0, 0
    if not used:  # an error follows, for which one row is enough
        yield from [(f"{path}, row 1", dict.fromkeys(names))][: file.metadata.num_rows]
        return
    others: dict[str, object] = dict.fromkeys(name for name in names if name not in used)
    for batch in file.iter_batches(batch_size=_BATCH, columns=used):
        unpacked += batch.nbytes
        check_unpacked(path, packed, unpacked)
        columns = {name: _values(path, name, batch.column(name), number) for name in used}
        for row in range(batch.num_rows):
            number += 1
            yield f"{path}, row {number}", {name: columns[name][row] for name in used} | others


def _values(path: Path, name: str, column: Any, before: int) -> list[Any]:
    """Python's values of a column, of which `before` rows were read already."""
    values = []
    for row, value in enumerate(column, start=before + 1):
        try:
            values.append(value.as_py())
        except UnicodeDecodeError:
            raise InputError(f"{path}, row {row}: column '{name}' is not UTF-8 text.") from None
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}, row {row}: column '{name}' holds {column.type}, not text ({error}).") from None
    return values
