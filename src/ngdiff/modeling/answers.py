"""The forward pass of a causal language model, reduced to what it says of its answer tokens.

The hidden states are cut down to the positions that predict a label *before* the output head: a prompt and padding of
200 tokens beside an answer of 50 would otherwise cost five times the logits, in time and in memory. It is done by a
hook in front of the head, so that whatever a model does to its logits afterwards (soft caps, scales) still happens.
Whether the cut changes what a model says is checked on rows of the run (`says_the_same_when_cut`); if it does, the
logits of all positions are computed.

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary, H hidden width.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers

# Largest difference of one loss between the two routes, relative to the largest loss, by dtype of the logits'
# computation: matrix products of other shapes sum in another order.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2}


def forward_answers(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    needs: Set[str] = frozenset(),
    *,
    layer: int | None = None,
    cut: bool = True,
) -> Answers:
    """Run `model` on a batch and return the negative log-probabilities of its labels.

    Token t + 1 is predicted from tokens up to t, so a label at position 0 has no prediction and does not
    count. Logits go to fp32 (bf16 loses the third digit of a loss).

    Args:
        model: A causal language model: `model(input_ids=, attention_mask=)` has `.logits` of shape (B, L, V).
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts.
        needs: What else to return: `logits`; `hidden`, the hidden states after one layer, or `head_input`, those in
            front of the output head, both in `Answers.hidden`.
        layer: Number of the layer after which `hidden` is taken, from 1.
        cut: Compute the logits of labelled positions alone.
    """
    labels = batch["labels"][:, 1:]
    labelled = labels != IGNORED
    with_hidden = "hidden" in needs
    with selecting_positions(model, labelled, cut=cut) as head_inputs:
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
            **({"output_hidden_states": True} if with_hidden else {}),
        )
    logits = output.logits[0] if cut and head_inputs is not None else output.logits[:, :-1][labelled]  # (T, V)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    targets = labels[labelled]
    hidden = None
    if with_hidden:
        hidden = output.hidden_states[layer][:, :-1][labelled]
    elif "head_input" in needs and head_inputs is not None:
        hidden = head_inputs[0][0]
    return Answers(
        nll=nn.functional.cross_entropy(logits, targets, reduction="none"),
        row=labelled.nonzero()[:, 0],
        rows=labels.shape[0],
        labels=targets,
        logits=logits if "logits" in needs else None,
        hidden=hidden,
    )


class _Selection:
    """A hook in front of an output head; it does something while `labelled` is set.

    Registered once for a head and kept: a compiled model does not look for hooks that come later, and would go on
    calling the one that it met first.
    """

    def __init__(self) -> None:
        self.labelled: Tensor | None = None
        self.cut = True
        self.seen: list[Tensor] = []

    @torch.compiler.disable
    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.labelled is None:
            return None
        hidden, *rest = inputs
        self.seen.append(hidden[:, :-1][self.labelled][None])
        return (self.seen[-1], *rest) if self.cut else None


_SELECTIONS: WeakKeyDictionary[nn.Module, _Selection] = WeakKeyDictionary()


@contextmanager
def selecting_positions(model: nn.Module, labelled: Tensor, *, cut: bool = True) -> Iterator[list[Tensor] | None]:
    """Within, the model's output head sees the positions (b, t) with `labelled[b, t]` alone, as one row.

    Args:
        model: A causal language model, possibly wrapped.
        labelled: (B, L - 1) bool.
        cut: False: the head sees all positions, and those are only noted down.

    Yields:
        A list that gets the head's input at these positions, (1, T, H), at each forward pass; None for a model without
        a separate output head, whose logits are those of all positions.
    """
    head = output_head(model)
    if head is None:
        yield None
        return
    if head not in _SELECTIONS:
        _SELECTIONS[head] = _Selection()
        head.register_forward_pre_hook(_SELECTIONS[head])
    selection = _SELECTIONS[head]
    selection.labelled, selection.cut, selection.seen = labelled, cut, []
    try:
        yield selection.seen
    finally:
        selection.labelled, selection.seen = None, []


@torch.no_grad()
def says_the_same_when_cut(model: nn.Module, batch: Mapping[str, Tensor]) -> str:
    """Whether the losses of a batch are the same, to rounding, if only labelled positions reach the output head.

    A model that does to its logits what depends on the position, or wants logits of a given shape, says something else.

    Args:
        model: In evaluation mode, so that both passes see the same model.
        batch: As for `forward_answers`.

    Returns:
        An empty string, or what differs.
    """
    plain = forward_answers(model, batch, cut=False).nll
    try:
        found = forward_answers(model, batch).nll
    except (RuntimeError, ValueError, IndexError) as error:  # what torch raises for a shape it cannot use
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if found.shape != plain.shape:
        return f"{len(found)} losses in place of {len(plain)}"
    if not plain.numel() or not plain.isfinite().all():
        return ""  # nothing to compare; what is not finite is refused elsewhere
    parameter = next(model.parameters())
    low = parameter.dtype == torch.bfloat16 or torch.is_autocast_enabled(parameter.device.type)
    tolerance = _ROUNDING[torch.bfloat16 if low else plain.dtype]
    difference = float((found - plain).abs().max() / plain.abs().max().clamp(min=1.0))
    return "" if difference <= tolerance else f"a loss differs by {difference:.1e} of the largest"


def output_head(model: nn.Module) -> nn.Module | None:
    """The module that makes logits of hidden states, or None where the model names none."""
    inner: Any = getattr(model, "module", model)  # DistributedDataParallel has no methods of the model
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
