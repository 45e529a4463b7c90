"""Read compressed files in bounded memory."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ngdiff.data.unpacked import check_memory, check_unpacked
from ngdiff.errors import InputError
from ngdiff.paths import check_regular

_BLOCK = 1 << 20


def _open_zstd(path: Path) -> Any:
    import pyarrow

    return pyarrow.input_stream(str(path), compression="zstd")


OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _open_zstd}


def stem_and_kind(path: Path) -> tuple[str, str]:
    """The name of a file without its endings, and what it holds, whatever it is compressed with.

    >>> stem_and_kind(Path("data/Forget.JSONL.gz")), stem_and_kind(Path("notes.txt")), stem_and_kind(Path("a.gz"))
    (('Forget', '.jsonl'), ('notes', '.txt'), ('a', ''))
    """
    inner = Path(path.stem) if path.suffix.lower() in OPENERS else Path(path.name)
    return inner.stem, inner.suffix.lower()


def read_bytes(path: Path) -> bytes:
    """The contents of a file, decompressed if its name ends in one of `OPENERS`.

    Raises:
        InputError: not a regular file, a damaged one, or a decompression bomb.
        OSError: the file cannot be read.
    """
    check_regular(path)
    if path.suffix.lower() not in OPENERS:
        return path.read_bytes()
    try:
        return b"".join(_blocks(path))
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, InputError) or getattr(error, "errno", None) is not None:
            raise
        raise InputError(f"{path}: not a readable {path.suffix.lower()} file ({error}).") from error


def _blocks(path: Path) -> Iterator[bytes]:
    packed, unpacked = path.stat().st_size, 0
    with OPENERS[path.suffix.lower()](path) as file:
        while block := file.read(_BLOCK):
            unpacked += len(block)
            check_unpacked(path, packed, unpacked)
            check_memory(path, unpacked)
            yield block
