"""How fast matrix products run on this machine, and what part of that speed a whole step reaches."""

import time

import torch

# Operations a second of whole steps over those of the product below, as measured (docs/dev/log.md). On accelerators
# nothing was measured; one half is a usual figure for batches that fill the device.
EFFICIENCY = {"cpu": 0.5}
_ELSEWHERE = 0.5

_SECONDS = 0.5


def product_speed(
    rows: int, inner: int, columns: int, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> float:
    """Operations a second of the product of a (rows, inner) and an (inner, columns) matrix, measured for half a second.

    The best of all repetitions. On a CPU processor time is measured, so that other work on the machine does not count:
    a product may last longer than a process keeps the processor.

    Args:
        rows, inner, columns: Shape; that of a batch's tokens and a large weight matrix.
        dtype: In which the run computes.
        device: On which it computes.
    """
    on_cpu = torch.device(device).type == "cpu"

    def now() -> float:
        return time.process_time() / torch.get_num_threads() if on_cpu else time.perf_counter()

    left, right = (torch.ones(shape, dtype=dtype, device=device) for shape in ((rows, inner), (inner, columns)))
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while best == float("inf") or time.perf_counter() < end:
        start = now()
        product = left @ right
        product[-1, -1].item()  # waits for the device
        best = min(best, now() - start)
    return 2.0 * rows * inner * columns / best


def efficiency(device: torch.device | str) -> float:
    """Part of `product_speed` that a whole step is expected to reach."""
    return EFFICIENCY.get(torch.device(device).type, _ELSEWHERE)
