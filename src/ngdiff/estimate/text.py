"""An estimate as lines of text."""

from ngdiff.estimate.estimate import Estimate
from ngdiff.plurals import number_of
from ngdiff.training.arrival import ARRIVED

_GIB = 2**30


def describe(found: Estimate) -> str:
    """An estimate as text for people to read.

    Args:
        found: The estimate.
    """
    each = "" if found.processes == 1 else f" of each of {found.processes} processes"
    parts = sorted(found.peak.parts.items(), key=lambda item: -item[1])
    others = sorted(((peak.total, name) for name, peak in found.peaks.items() if name != found.moment), reverse=True)
    lines = [
        f"Estimated peak memory{each}: {_size(found.peak.total)}, in the {found.moment}",
        *(f"  {_size(size):>10}  {name}" for name, size in parts if size * 1000 >= found.peak.total),
        "Other moments: " + ", ".join(f"{name} {_size(total)}" for total, name in others),
    ]
    if found.host:
        lines.append(f"On the host: {_size(found.host)} of a stashed gradient")
    tokens = found.workload.tokens
    lines += [
        f"Largest batches: {tokens['retain']} tokens to retain, {tokens['forget']} to forget, with any padding; on "
        f"average {found.workload.share['retain']:.0%} and {found.workload.share['forget']:.0%} of that work",
        f"Estimated time{each}: {_duration(found.seconds)} for {number_of(found.steps, 'step')}: "
        f"{found.operations:.2e} operations at {found.efficiency:.0%} of the {found.speed / 1e9:.3g} billion a second "
        "of a matrix product, measured now",
        *_later(found),
        "These are estimates. Not counted: Python and its libraries, what kernels and the memory allocator need beyond "
        "the tensors in use; evaluation and saving.",
    ]
    return "\n".join(lines) + "\n"


def _later(found: Estimate) -> list[str]:
    if found.longest == 1:
        return []
    most = number_of(found.longest * found.steps, "step")
    return [f"The run ends when {ARRIVED}: after {most} and {_duration(found.longest * found.seconds)} at most"]


def _size(size: int) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.1f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
