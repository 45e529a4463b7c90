"""Options of how the two gradients of a step are taken and kept (`ngdiff.training.gradients`)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngdiff.errors import InputError
from ngdiff.option import check_choice, option
from ngdiff.weighting import Weighting

if TYPE_CHECKING:
    import torch


@dataclass
class GradientOptions:
    """How many gradients are held at once, and how the stashed one is kept. Part of `UnlearnConfig`."""

    gradient_buffers: int = option(
        2, "gradients held at once: 2, or 1, which takes the forget pass twice (weightings without inner product only)"
    )
    stash_dtype: str = option(
        "same", "type in which the gradient of one side waits while the other's pass runs: same or bfloat16"
    )
    stash_device: str = option(
        "same", "where it waits, and where a lean probe keeps the weights that it started from: same or cpu"
    )
    disable_dropout: bool = option(True, "train without dropout, whose noise would enter both gradients")

    @property
    def waiting_dtype(self) -> "torch.dtype | None":
        """Type of a stashed gradient; None: its own."""
        import torch

        return None if self.stash_dtype == "same" else getattr(torch, self.stash_dtype)

    @property
    def waiting_device(self) -> str | None:
        """Device of a stashed gradient; None: its own."""
        return None if self.stash_device == "same" else self.stash_device

    def check_gradients(self, weighting: Weighting) -> None:
        """Refuse what is not known, and one buffer where two are needed.

        Raises:
            InputError: an option that cannot be used, or not with the others.
        """
        check_choice("--stash-dtype", self.stash_dtype, ("same", "bfloat16"))
        check_choice("--stash-device", self.stash_device, ("same", "cpu"))
        if self.gradient_buffers == 2:
            return
        if weighting.uses_dot:
            raise InputError(
                f"--gradient-buffers 1: the weighting {weighting} uses the inner product of the two gradients, which "
                "are never held together then; use 2, or a weighting without it, such as ngdiff"
            )
        if weighting.entries is not None:
            raise InputError(
                f"--gradient-buffers 1: the weighting {weighting} compares the two gradients entry by entry, which are "
                "never held together then; use 2, or a weighting of whole gradients, such as ngdiff"
            )
        if self.stash_dtype != "same":
            raise InputError(f"--stash-dtype {self.stash_dtype} with --gradient-buffers 1: no gradient waits")
        if not self.disable_dropout:
            raise InputError(
                "--gradient-buffers 1 takes the forget pass twice, and dropout would make them differ; leave "
                "--disable-dropout on, or use 2"
            )
