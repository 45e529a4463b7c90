"""Several processes that share an evaluation: each predicts its part, all know the whole."""

import os
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Processes:
    """This process among those that torchrun or accelerate started; alone by default."""

    rank: int = 0
    size: int = 1
    device: torch.device | None = None

    @property
    def leads(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def merge(self, own: dict[int, Any]) -> dict[int, Any]:
        """The results of all processes, by index; every process gets them all."""
        if self.size == 1:
            return own
        from accelerate.utils import gather_object

        return dict(gather_object(list(own.items())))

    def agree(self, value: Any) -> Any:
        """The value of the process that leads, in all of them."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


def started_processes() -> Processes:
    """Join the others, if a launcher started several (WORLD_SIZE), and take a device: this process's accelerator, or
    the CPU. Collective calls go through gloo on CPUs and through NCCL on GPUs, as accelerate chooses."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if not several_are_asked_for():
        return Processes(device=accelerator or torch.device("cpu"))
    from accelerate import PartialState

    state = PartialState(cpu=accelerator is None)
    # Processes that do not see each other would each do, and write, the whole.
    assert state.num_processes == int(os.environ["WORLD_SIZE"]), "accelerate did not join the other processes"
    return Processes(state.process_index, state.num_processes, state.device)


def several_are_asked_for() -> bool:
    """Whether a launcher started more than this process."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def leave() -> None:
    """End the communication; after it each process goes its own way."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
