"""Which savings a run's forward passes use: decided once, before step 1."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ngdiff.modeling.head import depends_on_length, output_head
from ngdiff.speed.checks import difference_if_cut, difference_if_fused, difference_if_packed, has_no_observers
from ngdiff.speed.cpu.reused_head import ReusedHead
from ngdiff.speed.cpu.row_attention import attention_of
from ngdiff.speed.forward import Forward
from ngdiff.speed.fused_kernels import load_kernel
from ngdiff.speed.fused_loss import FusedLinearCrossEntropy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Situation:
    """What decides how the forward passes of a run are computed.

    Args:
        device: Of the model.
        processes: How many train the model.
        speed: `auto`, or `off` for the plain pass.
        packing: `auto`, `on` or `off`.
        fused_loss: Name of `FUSED_LOSSES`, or `none`.
        compiled: Whether the model is compiled: each other number of rows would compile it again.
        custom_collator: Whether batches come from the user's collator, so that their lengths may be deliberate.
        gradient_buffers: 1 or 2.
        need_logits: Sides whose objective needs logits, for messages.
    """

    device: torch.device
    processes: int = 1
    speed: str = "auto"
    packing: str = "auto"
    fused_loss: str = "none"
    compiled: bool = False
    custom_collator: bool = False
    gradient_buffers: int = 2
    need_logits: tuple[str, ...] = ()

    @property
    def is_single_cpu_process(self) -> bool:
        """Whether this is one process on a CPU, where allocating memory is expensive."""
        return self.device.type == "cpu" and self.processes == 1 and not self.compiled


def choose_forward(model: nn.Module, batch: Mapping[str, Tensor], situation: Situation) -> Forward:
    """The forward pass with all savings that change nothing, each compared with the plain pass on the run's first rows.

    An optimization that changes a number is not used, with a warning if it was requested or if the run is much slower
    without it.

    Args:
        model: In evaluation mode.
        batch: Rows of the run, as for `ngdiff.modeling.plain_forward.forward_answers`.
        situation: Of the run.
    """
    if situation.speed == "off":
        return Forward()
    trailing_tokens = keeps_trailing_tokens(model, situation)
    forward = Forward(sparse_embedding=situation.is_single_cpu_process and situation.gradient_buffers == 2)
    if difference := difference_if_cut(model, batch, trailing_tokens=trailing_tokens):
        logger.warning(
            "The logits of all tokens are computed, which takes longer: computing those of answer tokens only would "
            "change this model's losses (%s).",
            difference,
        )
    else:
        forward = replace(forward, cut=True, trailing_tokens=trailing_tokens)
    if may_pack(model, situation):
        forward = _packed(forward, model, batch, situation)
    if situation.fused_loss != "none":
        return _fused(forward, model, batch, situation)
    if situation.is_single_cpu_process and has_no_observers(output_head(model)):
        reused_head = FusedLinearCrossEntropy(ReusedHead())
        if not difference_if_fused(model, batch, reused_head):
            return replace(forward, fused_loss=reused_head)
    return forward


def may_pack(model: nn.Module, situation: Situation) -> bool:
    """Whether rows are to be packed, provided that it changes no number.

    With `packing="auto"` only where that was measured to be faster: on a CPU, with `sdpa`, whose attention can be
    computed row by row.
    """
    if situation.speed == "off":
        return False
    if situation.packing == "auto":
        return _can_use_row_attention(model, situation) and situation.device.type == "cpu"
    return situation.packing == "on"


def keeps_trailing_tokens(model: nn.Module, situation: Situation) -> bool:
    """Whether the model is given the trailing tokens of a row, those after the last that predicts a label.

    It is if the user's collator or the model depends on lengths, and on an accelerator, which would have to wait until
    the host knows how much to leave out.
    """
    plain = situation.speed == "off" or situation.device.type != "cpu"
    return plain or situation.custom_collator or situation.compiled or depends_on_length(model)


def _can_use_row_attention(model: nn.Module, situation: Situation) -> bool:
    return attention_of(model) == "sdpa" and not situation.compiled


def _packed(forward: Forward, model: nn.Module, batch: Mapping[str, Tensor], situation: Situation) -> Forward:
    """With packing: with row attention, else, if packing was asked for, with transformers' own masks."""
    asked = situation.packing == "on"
    differences = []
    for row_attention in (True, False):
        if (row_attention and not _can_use_row_attention(model, situation)) or not (row_attention or asked):
            continue
        differences.append(difference_if_packed(model, batch, cut=forward.cut, row_attention=row_attention))
        if not differences[-1]:
            return replace(forward, packing=True, row_attention=row_attention)
    logger.log(
        logging.WARNING if asked else logging.INFO,
        "--packing %s: the rows are padded, as packing would change what this model says (%s).",
        situation.packing,
        differences[-1],
    )
    return forward


def _fused(forward: Forward, model: nn.Module, batch: Mapping[str, Tensor], situation: Situation) -> Forward:
    """With the fused loss that was asked for."""
    name = situation.fused_loss
    fused_loss = FusedLinearCrossEntropy(load_kernel(name))
    if difference := difference_if_fused(model, batch, fused_loss):
        logger.warning("--fused-loss %s is not used: with this model %s.", name, difference)
        return forward
    for side in situation.need_logits:
        logger.info("--fused-loss %s: the %s objective needs logits, and computes them.", name, side)
    return replace(forward, fused_loss=fused_loss)
