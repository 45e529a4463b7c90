"""Whether a saving in the forward pass changes a number: compared with the plain pass on rows of the run, beforehand.

Each function returns what differs, for which that saving is not used, or an empty string.

Shape legend: T labelled tokens of the batch, V vocabulary, H hidden width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.core.shards import is_sharded
from ngdiff.modeling.head import depends_on_length, logit_transform, output_head, text_config
from ngdiff.modeling.head_input import HeadInput
from ngdiff.modeling.plain_forward import forward_answers, upcast
from ngdiff.speed.beginnings import Labelled, Tree, tree_logits, tree_of
from ngdiff.speed.cpu.row_attention import attention_of
from ngdiff.speed.forward import Forward, FusedLoss

_HEAD_INPUT = frozenset({"head_input"})

# Largest difference of one loss between two ways, relative to the largest loss, by the precision in which the output
# head computes: matrix products of other shapes sum in another order.
_ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}

# The same for hidden states of one row, computed twice in the same position among other rows: nearly equal, since only
# the experts of a mixture may group rows differently.
_REPEATED = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-3}

# What torch and the kernels raise for input that they cannot use.
_LIBRARY_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)


@torch.no_grad()
def difference_if_cut(model: nn.Module, batch: Mapping[str, Tensor], *, trailing_tokens: bool = True) -> str:
    """What differs, beyond rounding, in the losses of a batch if only labelled positions reach the output head.

    Something does if the model treats logits by their position, or expects them in a certain shape.

    Args:
        model: In evaluation mode, so that both passes see the same model.
        batch: As for `forward_answers`. Without any label, the second half of each row is compared.
        trailing_tokens: As for `Forward`; False compares that saving as well.
    """
    batch = _with_labels(batch)
    plain = forward_answers(model, batch, _HEAD_INPUT)
    return _difference_or_error(
        lambda: _losses_differ(plain, Forward(cut=True, trailing_tokens=trailing_tokens)(model, batch))
    )


@torch.no_grad()
def difference_if_packed(
    model: nn.Module, batch: Mapping[str, Tensor], *, cut: bool = True, row_attention: bool = False
) -> str:
    """What differs, beyond rounding, if rows are packed: the losses, or the hidden states of a row among other rows.

    In a model that ignores position ids each row sees those before it. If the model knows little, that hardly changes
    the losses, and half precision hides the rest; hidden states of the last row do change when the tokens of the other
    rows do. All tokens are compared, whatever their labels, and the longest row comes last.

    Args:
        model: In evaluation mode.
        batch: As for `forward_answers`. A batch of one row is taken twice: alone it has no other row to see.
        cut, row_attention: As for `Forward`.
    """
    if getattr(text_config(model), "attention_chunk_size", None):  # transformers 5.17 starts them with the long row
        return "its attention is in chunks, which may be counted across rows"
    lengths = batch["attention_mask"].sum(1)
    if lengths.max() < 2:
        return "there is no row of two tokens to compare"
    order = lengths.argsort(stable=True)
    if len(order) == 1:
        order = order.repeat(2)
    ids, mask = batch["input_ids"][order], batch["attention_mask"][order]
    batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.where(mask.bool(), IGNORED)}
    plain = forward_answers(model, batch, _HEAD_INPUT)
    packed = Forward(cut=cut, packing=True, row_attention=row_attention)

    def difference() -> str:
        found, beside_others = (packed(model, one, _HEAD_INPUT) for one in (batch, _other_neighbours(batch)))
        last = found.row == found.rows - 1
        if (differs := _losses_differ(plain, found)) or found.hidden is None:
            return differs
        assert beside_others.hidden is not None
        own, other = found.hidden[last], beside_others.hidden[last]
        distance = float((own - other).norm() / own.norm())
        seen = distance > _REPEATED[own.dtype]
        return f"a row sees others: its hidden states differ by {distance:.1e} of their norm" if seen else ""

    return _difference_or_error(difference)


@torch.no_grad()
def difference_if_fused(model: nn.Module, batch: Mapping[str, Tensor], fused_loss: FusedLoss) -> str:
    """What differs, beyond rounding, between a fused loss and the plain pass: losses, and their gradients.

    Gradients are those of `sum_t (t / T) nll_t` with respect to the head's input and weight: objectives weigh tokens
    differently, and a kernel may support only one factor for all of them (liger-kernel before 0.8.2).

    Args:
        model: In evaluation mode.
        batch: As for `forward_answers`. Without any label, the second half of each row is compared.
        fused_loss: Token losses of the head's input.
    """
    head = output_head(model)
    if not isinstance(head, nn.Linear):
        return "the model has no output head" if head is None else f"the output head is a {type(head).__name__}"
    if any(is_sharded(parameter) for parameter in model.parameters()):  # the head's own may be gathered just now
        return "weights are sharded, and those of the output head gathered within the model's own pass alone"
    plain = forward_answers(model, _with_labels(batch), _HEAD_INPUT)
    assert plain.hidden is not None
    assert plain.labels is not None
    hidden, labels = plain.hidden.detach().requires_grad_(), plain.labels
    if not len(labels):
        return "there is no token to compare"
    inputs = [hidden, *([head.weight] if head.weight.requires_grad else [])]
    factors = torch.arange(1, len(labels) + 1, device=hidden.device) / len(labels)

    def gradients(nll: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((factors * nll).sum(), inputs)

    def difference() -> str:
        with torch.enable_grad():
            expected, found = _losses_of_head(model, head, hidden, labels), fused_loss(model, hidden, labels)
            pairs = [("a loss", expected, plain.nll), ("a loss", found, plain.nll)]
            names = ("the gradient of the head's input", "the gradient of the head's weight")
            pairs += zip(names, gradients(found), gradients(expected), strict=False)
        rounding = _ROUNDING[hidden.dtype]
        return next(filter(None, (_differs(name, one, other, rounding) for name, one, other in pairs)), "")

    return _difference_or_error(difference)


@torch.no_grad()
def difference_if_shared(model: nn.Module, rows: Sequence[Sequence[Labelled]]) -> str:
    """What differs, beyond rounding, if sequences share rows: the losses, or the logits of a sequence among others.

    A model with a state, or one that counts positions itself, sees the other sequences of a row. The losses say so.
    Half precision may hide it from them, but logits of the last sequence of a row do change when the tokens of the
    others do.

    Args:
        model: In evaluation mode; with `device` and `dtype`.
        rows: Input ids and labels of the sequences of each row, as for `ngdiff.speed.beginnings.shared_logits`.
    """
    if attention_of(model) not in ("sdpa", "eager"):
        return f"{attention_of(model)} attention takes no mask of pairs of tokens"
    if depends_on_length(model):
        return "the longest position of a pass changes what it says of all"
    labels = [[own for _, own in row] for row in rows]
    trees = [tree_of([ids for ids, _ in row]) for row in rows]
    plain = forward_answers(model, _one_row_each([one for row in rows for one in row], model.device))
    assert plain.labels is not None
    targets = plain.labels

    def difference() -> str:
        logits, places = tree_logits(model, trees, labels)
        nll = nn.functional.cross_entropy(upcast(logits[places]), targets, reduction="none")
        differs = _differs("a loss", nll, plain.nll, _ROUNDING[logits.dtype])
        if differs or logits.dtype.itemsize > 2:
            return differs
        last = [[[IGNORED] * len(own) for own in row[:-1]] + [row[-1]] for row in labels]
        own, other = (
            found[where].double()
            for found, where in (tree_logits(model, some, last) for some in (trees, [_among_others(t) for t in trees]))
        )
        distance = float((own - other).norm() / own.norm())
        seen = distance > _REPEATED[logits.dtype]
        return f"a sequence sees others: its logits differ by {distance:.1e} of their norm" if seen else ""

    return _difference_or_error(difference)


def has_no_observers(head: Any) -> bool:
    """Whether no hook but ours watches an output head or its gradient, so that it may be computed outside the model."""
    if type(head) is not nn.Linear or type(head.weight) is not nn.Parameter:  # a fake tensor, in a dry run
        return False
    others = [hook for hook in head._forward_pre_hooks.values() if not isinstance(hook, HeadInput)]
    after = getattr(head.weight, "_post_accumulate_grad_hooks", None)
    of_module = (head._forward_hooks, head._backward_hooks, head._backward_pre_hooks)
    return not any([others, *of_module, head.weight._backward_hooks, after])


def _difference_or_error(difference: Callable[[], str]) -> str:
    try:
        return difference()
    except _LIBRARY_ERRORS as error:
        if _is_out_of_memory(error):  # no fault of the saving: the plain pass takes more memory, not less
            raise
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _losses_differ(plain: Answers, found: Answers) -> str:
    if found.nll.shape != plain.nll.shape:
        return f"{len(found.nll)} losses in place of {len(plain.nll)}"
    dtype = plain.nll.dtype if plain.hidden is None else plain.hidden.dtype
    return _differs("a loss", found.nll, plain.nll, _ROUNDING[dtype])


def _differs(name: str, found: Tensor, expected: Tensor, rounding: float) -> str:
    """The largest difference relative to the largest value (for losses, to at least 1 nat), if it exceeds rounding."""
    found, expected = found.detach(), expected.detach()
    if not expected.numel() or not expected.isfinite().all():
        return ""  # nothing to compare; losses that are not finite are refused elsewhere
    scale = expected.abs().max().clamp(min=1.0 if name == "a loss" else torch.finfo(expected.dtype).tiny)
    difference = float((found - expected).abs().max() / scale)
    return "" if difference <= rounding else f"{name} differs by {difference:.1e} of the largest"


def _with_labels(batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The batch, with labels at the second half of each row where it has none at all."""
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    if (batch["labels"][:, 1:] != IGNORED).any():
        return batch
    second = mask & (2 * mask.cumsum(1) > mask.sum(1, keepdim=True))
    return {"input_ids": ids, "attention_mask": batch["attention_mask"], "labels": ids.where(second, IGNORED)}


def _other_neighbours(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with the tokens of all rows but the last in another order."""
    ids = batch["input_ids"]
    return {**batch, "input_ids": torch.cat([ids[:-1].flip(1), ids[-1:]])}


def _one_row_each(sequences: Sequence[Labelled], device: Any) -> dict[str, Tensor]:
    """A padded batch."""
    shape = len(sequences), max(len(ids) for ids, _ in sequences)
    batch = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    batch["labels"] = torch.full(shape, IGNORED)
    for row, (ids, labels) in enumerate(sequences):
        for name, values in (("input_ids", ids), ("attention_mask", [1] * len(ids)), ("labels", labels)):
            batch[name][row, : len(ids)] = torch.tensor(values)
    return {name: values.to(device) for name, values in batch.items()}


def _among_others(tree: Tree) -> Tree:
    """The tree with the tokens that its last sequence does not see in another order."""
    own = set(tree.paths[-1])
    others = iter([token for place, token in enumerate(tree.tokens) if place not in own][::-1])
    return replace(tree, tokens=[token if place in own else next(others) for place, token in enumerate(tree.tokens)])


def _losses_of_head(model: nn.Module, head: nn.Linear, hidden: Tensor, labels: Tensor) -> Tensor:
    """(T,) losses by way of all logits (T, V), scaled and capped as the model's configuration says."""
    scale, soft_cap = logit_transform(model)
    bias = None if head.bias is None else head.bias.to(hidden.dtype)
    logits = nn.functional.linear(hidden, head.weight.to(hidden.dtype), bias)
    logits = (logits if logits.dtype == torch.float64 else logits.float()) * scale
    if soft_cap is not None:
        logits = soft_cap * torch.tanh(logits / soft_cap)
    return nn.functional.cross_entropy(logits, labels, reduction="none")
