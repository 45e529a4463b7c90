"""Arrays of a `.npz` file by name: headers are checked before anything is unpacked, and nothing is unpickled."""

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ngdiff.data.unpacked import check_memory, check_unpacked
from ngdiff.errors import InputError

_FORMAT = np.lib.format
_HEADERS = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}
# Errors of zipfile, its decompressors and numpy for damaged files; RuntimeError: encrypted, or unknown compression.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OSError, RuntimeError)


def read_arrays(path: Path, names: Sequence[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of a file that are among `names`, and the names of all its arrays.

    Raises:
        InputError: not a `.npz` file, a damaged one, arrays of Python objects, or arrays that are implausibly large for
            their compressed size.
    """
    try:
        with zipfile.ZipFile(path) as file:
            found = [name.removesuffix(".npy") for name in file.namelist()]
            twice = next((name for name in names if found.count(name) > 1), None)
            if twice is not None:
                raise InputError(f"{path}: two arrays of the name {twice}; there must be one")
            return {name: _read(path, file, name) for name in names if f"{name}.npy" in file.namelist()}, found
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{path}: not a readable .npz file of plain arrays: {error}") from error


def _read(path: Path, file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    entry = file.getinfo(f"{name}.npy")
    with file.open(entry) as member:
        version = _FORMAT.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"array {name} has the format {version}")
        shape, _, dtype = _HEADERS[version](member)
    if dtype.hasobject:
        raise ValueError(f"array {name} holds Python objects")
    size = math.prod(shape) * dtype.itemsize
    if size > entry.file_size or min(shape, default=0) < 0:
        raise ValueError(f"array {name} of shape {shape} is cut short")
    check_unpacked(f"{path}, array {name}", min(entry.compress_size, path.stat().st_size), size)
    check_memory(f"{path}, array {name}", size)
    with file.open(entry) as member:
        return _FORMAT.read_array(member, allow_pickle=False)
