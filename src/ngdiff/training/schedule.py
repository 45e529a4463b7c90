"""A learning-rate schedule that changes nothing."""

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler


class KeepLearningRate(LRScheduler):
    """A schedule that leaves the parameter groups' learning rates as they are."""

    def get_lr(self) -> list[float | Tensor]:
        """The current rates."""
        return [group["lr"] for group in self.optimizer.param_groups]
