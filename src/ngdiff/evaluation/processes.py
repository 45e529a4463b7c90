"""Several processes that share an evaluation: each predicts its part, all get the whole result."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Processes:
    """This process among those that torchrun or accelerate started; by default the only one."""

    rank: int = 0
    size: int = 1
    device: "torch.device | None" = None

    @property
    def is_main(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def gather(self, own: dict[int, Any]) -> dict[int, Any]:
        """The results of all processes, by index; every process gets them all."""
        if self.size == 1:
            return own
        from accelerate.utils import gather_object

        return dict(gather_object(list(own.items())))

    def broadcast(self, value: Any) -> Any:
        """The main process's value, in all processes."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


def started_processes() -> Processes:
    """Join the other processes, if a launcher started several (WORLD_SIZE), and choose a device: this process's
    accelerator, or the CPU. Collective calls use gloo on CPUs and NCCL on GPUs, as accelerate chooses."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if not launched_as_several():
        return Processes(device=accelerator or torch.device("cpu"))
    from accelerate import PartialState

    state = PartialState(cpu=accelerator is None)
    # Processes that do not see each other would each compute, and write, everything.
    assert state.num_processes == int(os.environ["WORLD_SIZE"]), "accelerate did not join the other processes"
    return Processes(state.process_index, state.num_processes, state.device)


def launched_as_several() -> bool:
    """Whether a launcher started more than this process."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def leave() -> None:
    """End the communication; afterwards the processes run independently."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
