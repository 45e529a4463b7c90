"""Whether a CPU computes in bfloat16; one that does not converts every number, and is slower than in float32."""

from pathlib import Path

# Of the flags of x86 processors and the features of ARM's, as Linux lists them.
_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}


def computes_bfloat16(described: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether this machine's processors have instructions for bfloat16; None where that is not known.

    Args:
        described: What Linux says of them; other systems have no such file.
    """
    try:
        lines = described.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    listed = [line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))]
    return any(_INSTRUCTIONS & set(words) for words in listed) if listed else None
