"""Token losses of logits, with no second tensor of their size.

`torch.nn.functional.cross_entropy` keeps log-probabilities beside the logits and makes two more such tensors in its
backward pass. With 50 000 words these are most of a step's memory, and most of the loss's time on a CPU goes into
writing them to new pages. Here logits become probabilities, and these the gradient, where they are.

Shape legend: T tokens, V vocabulary.
"""

import re
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits taken at once on a CPU: 1 MiB in fp32 stays in the cache from the maximum to the sum.
_CHUNK = 1 << 18

# torch's own nodes of the graph, without `Backward0`: those whose result is the memory of another, and those that make
# a new one and do not need it in their own backward pass.
_VIEWS = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Alias")
_MAKERS = ("Mm", "Addmm", "Bmm", "Mul", "Div", "Add", "Sub", "ToCopy", "Index")
_NODE = re.compile(r"(\w+)Backward\d")


def cross_entropy_in_place(logits: Tensor, labels: Tensor) -> Tensor:
    """`-log softmax(z_t)[y_t]`, differentiable once; the logits are overwritten.

    Where what made the logits may need them in its own backward pass (a linear layer and a product do not), a copy is.

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
    """Whether the graph does without the values of this result."""
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
        """Logits become `exp(z - max z)`."""
        sums, losses = exponentials_and_losses(logits.detach(), labels)
        ctx.save_for_backward(logits, sums, labels)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None]:
        """These become the gradient."""
        exponentials, sums, labels = ctx.saved_tensors
        return gradient_of_logits(exponentials, sums, labels, factors), None


def exponentials_and_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (T, V) become `exp(z - max z)`; their sums (T,), and the losses (T,)."""
    rows = len(logits) if logits.device.type != "cpu" else max(1, _CHUNK // logits.shape[1])
    losses, sums = [], []
    for z, y in zip(logits.split(rows or 1), labels.split(rows or 1), strict=True):
        z -= z.amax(1, keepdim=True)
        chosen = z.gather(1, y[:, None])[:, 0]
        sums.append(z.exp_().sum(1))
        losses.append(sums[-1].log() - chosen)
    return torch.cat(sums), torch.cat(losses)


def gradient_of_logits(exponentials: Tensor, sums: Tensor, labels: Tensor, factors: Tensor) -> Tensor:
    """Exponentials (T, V) become `factor_t (softmax(z_t) - onehot(y_t))`."""
    gradient = exponentials.detach()
    gradient *= (factors / sums)[:, None]
    return gradient.scatter_add_(1, labels[:, None], -factors[:, None])
