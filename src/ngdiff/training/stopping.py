"""Requests to stop a run: it ends after a whole step, with a checkpoint, in all processes at the same step."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist


@dataclass
class StopRequest:
    """Whether, and by what, a run was asked to stop. Set `by` from a signal handler or another thread.

    Attributes:
        by: Name of the signal; None while nobody asks.
        phase: Where the run is: `before` its first step of this start, within its `steps`, or `after` the last one.
    """

    by: str | None = None
    phase: Literal["before", "steps", "after"] = "before"


class Agreement:
    """Tells all processes at the same step that one of them was asked to stop.

    One number is summed over all processes, on the host, while the next step runs, and read when that step has ended.
    So no process waits, and all know one step later. All processes must make one, and call `ask` once a step.
    """

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo")
        self._asked = torch.zeros(1)
        self._sum: dist.Work | None = None

    def ask(self, here: bool) -> bool:
        """Whether any process was asked to stop by the end of its previous step; `here`: whether this one is by now."""
        if self._sum is not None:
            self._sum.wait()
        known = bool(self._asked.item() > 0)
        self._asked = torch.tensor([float(here)])
        self._sum = dist.all_reduce(self._asked, group=self._group, async_op=True)
        return known

    def end(self) -> None:
        """Wait for the last sum."""
        if self._sum is not None:
            self._sum.wait()
