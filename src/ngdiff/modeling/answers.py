"""The forward pass of a causal language model, reduced to what it says of its answer tokens.

The hidden states are cut down to the positions that predict a label *before* the output head: a prompt and padding of
200 tokens beside an answer of 50 would otherwise cost five times the logits, in time and in memory. It is done by a
hook in front of the head, so that whatever a model does to its logits afterwards (soft caps, scales) still happens.
What stands behind the last of them is not computed at all (`packing.py`).
Rows may also be packed without padding (`packing.py`), and the head be left to a fused loss (`fused_loss.py`), which
makes token losses of hidden states and never holds logits. Whether all this changes what a model says is checked on
rows of the run (`checks.py`).

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary, H hidden width.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.modeling.further_inputs import further_inputs
from ngdiff.modeling.head import output_head
from ngdiff.modeling.packing import packed, padded
from ngdiff.modeling.row_attention import attends_by_rows, packed_rows
from ngdiff.modeling.token_loss import spend_logits

# (model, hidden states in front of its output head (T, H), labels (T,)) -> losses (T,)
FusedLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]

# Which positions the output head sees: all, those that predict a label, or none.
Seen = Literal["all", "labelled", "none"]


def forward_answers(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    needs: Set[str] = frozenset(),
    *,
    layer: int | None = None,
    cut: bool = True,
    tails: bool = True,
    packing: bool = False,
    fused_loss: FusedLoss | None = None,
) -> Answers:
    """Run `model` on a batch and return the negative log-probabilities of its labels.

    Token t + 1 is predicted from tokens up to t, so a label at position 0 has no prediction and does not
    count. Logits go to fp32 (bf16 loses the third digit of a loss).

    Args:
        model: A causal language model: `model(input_ids=, attention_mask=)` has `.logits` of shape (B, L, V).
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts. Further
            inputs, such as `token_type_ids`, go to the model as they are; a batch with some is neither cut nor packed.
        needs: What else to return: `logits`; `hidden`, the hidden states after one layer, or `head_input`, those in
            front of the output head, both in `Answers.hidden`.
        layer: Number of the layer after which `hidden` is taken, from 1.
        cut: Compute the logits of labelled positions alone.
        tails: Give the model also what stands behind all labels.
        packing: Give the model all rows as one, without padding. What is returned is the same.
        fused_loss: Makes the token losses of the head's input, without logits; where those are needed it is not used.
    """
    further = further_inputs(batch)
    tails = tails or bool(further)
    packing = packing and not further and bool(batch["attention_mask"].any())  # attention is not made for no tokens
    layout = packed(batch, tails=tails, blocks=attends_by_rows(model)) if packing else padded(batch, tails=tails)
    labels = batch["labels"][:, 1:]
    labelled = labels != IGNORED
    targets = labels[labelled]
    with_hidden = "hidden" in needs
    if "logits" in needs or not targets.numel():  # kernels are not made for no tokens
        fused_loss = None
    seen: Seen = "none" if fused_loss is not None else "labelled" if cut else "all"
    options: dict[str, Any] = {"output_hidden_states": True} if with_hidden else {}
    if layout.blocks is not None:
        options["row_blocks"] = layout.blocks
    with (
        nullcontext() if layout.blocks is None else packed_rows(layout.row_lengths),
        selecting_positions(model, layout.predicts, seen) as head_inputs,
    ):
        output = model(**layout.inputs, **further, use_cache=False, **options)
    hidden = None
    if with_hidden:
        hidden = output.hidden_states[layer][layout.predicts]
    elif "head_input" in needs and head_inputs is not None:
        hidden = head_inputs[0][0]
    if fused_loss is not None and head_inputs is not None:
        logits, nll = None, fused_loss(model, head_inputs[0][0], targets)
    else:
        logits = output.logits.squeeze(0) if cut and head_inputs is not None else output.logits[layout.predicts]
        logits = logits if logits.dtype == torch.float64 else logits.float()  # (T, V)
        # Whoever asks for the head's input may be given the same memory, by a head that passes it on.
        keep = needs & {"logits", "head_input"}
        nll = nn.functional.cross_entropy(logits, targets, reduction="none") if keep else spend_logits(logits, targets)
    return Answers(
        nll=nll,
        row=labelled.nonzero()[:, 0],
        rows=labels.shape[0],
        labels=targets,
        logits=logits if "logits" in needs else None,
        hidden=hidden,
    )


class PositionSelection:
    """A hook in front of an output head; it does something while `predicts` is set.

    Registered once for a head and kept: a compiled model does not look for hooks that come later, and would go on
    calling the one that it met first.
    """

    def __init__(self) -> None:
        self.predicts: Tensor | None = None
        self.seen: Seen = "all"
        self.inputs: list[Tensor] = []

    @torch.compiler.disable
    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.predicts is None:
            return None
        hidden, *rest = inputs
        device = hidden.device.type
        if torch.is_autocast_enabled(device) and hidden.dtype == torch.float32:  # the head would do it, and unseen
            hidden = hidden.to(torch.get_autocast_dtype(device))
        self.inputs.append(hidden[self.predicts][None])
        if self.seen == "all":
            return None
        return (self.inputs[-1] if self.seen == "labelled" else self.inputs[-1][:, :0], *rest)


_SELECTIONS: WeakKeyDictionary[nn.Module, PositionSelection] = WeakKeyDictionary()


@contextmanager
def selecting_positions(model: nn.Module, predicts: Tensor, seen: Seen = "labelled") -> Iterator[list[Tensor] | None]:
    """Within, the model's output head sees the positions with `predicts` alone, as one row.

    Args:
        model: A causal language model, possibly wrapped.
        predicts: bool, of the shape of the token ids that the model is given.
        seen: What the head gets: the positions that predict a label (`labelled`), `all` or `none`.

    Yields:
        A list that gets the head's input at positions with `predicts`, (1, T, H), at each forward pass, in the
        precision that the head computes in; None for a model without a separate output head, whose logits are those of
        all positions.
    """
    head = output_head(model)
    if head is None:
        yield None
        return
    if head not in _SELECTIONS:
        _SELECTIONS[head] = PositionSelection()
        head.register_forward_pre_hook(_SELECTIONS[head])
    selection = _SELECTIONS[head]
    selection.predicts, selection.seen, selection.inputs = predicts, seen, []
    try:
        yield selection.inputs
    finally:
        selection.predicts, selection.inputs = None, []
