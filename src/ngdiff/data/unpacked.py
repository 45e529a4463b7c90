"""Data that would fill the memory: refused before it does."""

import os
from pathlib import Path

from ngdiff.errors import InputError

# Texts and images shrink a few times, images of one colour some hundred times; a file made to do harm, a thousand.
_LARGE, _RATIO = 1 << 28, 200


def check_unpacked(origin: str | Path, packed: int, unpacked: int) -> None:
    """Refuse what takes more than 256 MiB in memory and more than 200 times as much as in its file.

    Args:
        origin: What it is, at the start of the message.
        packed: Bytes in the file.
        unpacked: Bytes in memory.

    Raises:
        InputError: it is refused.
    """
    if unpacked > _LARGE and unpacked > _RATIO * packed:
        raise InputError(
            f"{origin}: {packed:,} bytes that become {unpacked:,} in memory; that is taken for damage, not for data: "
            "more than 256 MiB, and more than 200 times the file"
        )


def check_memory(origin: str | Path, size: int) -> None:
    """Refuse what is larger than all of the machine's memory.

    Raises:
        InputError: `size` bytes are more than there are.
    """
    if not hasattr(os, "sysconf"):  # Windows does not tell
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise InputError(f"{origin}: takes {size / 2**30:,.1f} GiB, and the machine has {memory / 2**30:,.1f}")
