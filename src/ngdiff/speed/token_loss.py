"""Token losses from logits, without a second tensor of that size.

`torch.nn.functional.cross_entropy` keeps log-probabilities in addition to the logits and makes two more such tensors
in its backward pass. With 50 000 words these are most of a step's memory, and on a CPU most of the loss's time goes
into writing them to new pages. Here the logits are overwritten: by exponentials, then by the gradient.

Shape legend: T tokens, V vocabulary.
"""

import re
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits per chunk on a CPU: 1 MiB in fp32 stays in the cache from the maximum to the sum.
_CHUNK = 1 << 18

# torch's autograd nodes, without `Backward0`: those that return a view, and those that return new memory whose values
# their backward pass does not need.
_VIEWS = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Alias")
_MAKERS = ("Mm", "Addmm", "Bmm", "Mul", "Div", "Add", "Sub", "ToCopy", "Index")
_NODE = re.compile(r"(\w+)Backward\d")


def cross_entropy_in_place(logits: Tensor, labels: Tensor) -> Tensor:
    """`-log softmax(z_t)[y_t]`, differentiable once; the logits are overwritten.

    Where the operation that made the logits may need them in its backward pass, a copy is overwritten instead. A linear
    layer and a product do not need them.

    Args:
        logits: (T, V), fp32 or fp64. Not to be read again: a hook that keeps a head's output must copy it.
        labels: (T,) int64.

    Returns:
        (T,) losses in nats, of the logits' type.

    Example:
        >>> cross_entropy_in_place(torch.zeros(1, 4), torch.tensor([2]))
        tensor([1.3863])
    """
    if logits.requires_grad and not _values_are_unused(logits):
        logits = logits.clone()
    return _InPlaceCrossEntropy.apply(logits, labels)


def _values_are_unused(result: Tensor) -> bool:
    """Whether no backward pass needs the values of this result, so that they may be overwritten."""
    node = result.grad_fn
    while node is not None and _kind(node) in _VIEWS:
        node = node.next_functions[0][0]
    return node is not None and _kind(node) in _MAKERS


def _kind(node: Any) -> str:
    found = _NODE.fullmatch(node.name())
    return found[1] if found else ""


class _InPlaceCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Overwrites logits by `exp(z - max z)`."""
        sums, losses = exponentials_and_losses(logits.detach(), labels)
        ctx.save_for_backward(logits, sums, labels)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None]:
        """Overwrites the exponentials by the gradient."""
        exponentials, sums, labels = ctx.saved_tensors
        return gradient_of_logits(exponentials, sums, labels, factors), None


def exponentials_and_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Overwrite logits (T, V) by `exp(z - max z)`; return their sums (T,) and the losses (T,)."""
    rows = len(logits) if logits.device.type != "cpu" else max(1, _CHUNK // logits.shape[1])
    losses, sums = [], []
    for z, y in zip(logits.split(rows or 1), labels.split(rows or 1), strict=True):
        z -= z.amax(1, keepdim=True)
        chosen = z.gather(1, y[:, None])[:, 0]
        sums.append(z.exp_().sum(1))
        losses.append(sums[-1].log() - chosen)
    return torch.cat(sums), torch.cat(losses)


def gradient_of_logits(exponentials: Tensor, sums: Tensor, labels: Tensor, factors: Tensor) -> Tensor:
    """Overwrite exponentials (T, V) by `factor_t (softmax(z_t) - onehot(y_t))`."""
    gradient = exponentials.detach()
    gradient *= (factors / sums)[:, None]
    return gradient.scatter_add_(1, labels[:, None], -factors[:, None])
