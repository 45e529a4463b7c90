"""Memory of the host in large pages, which a system clears in half the time of small ones.

torch takes small ones, unless a variable of the environment says otherwise for all it does.
"""

import contextlib
import mmap


def large_pages(size: int) -> mmap.mmap:
    """Memory of this process, all zeros, in the largest pages that the system gives for it.

    Args:
        size: Bytes, above 0.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without any
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
