"""Token losses of logits, with no second tensor of their size.

`torch.nn.functional.cross_entropy` keeps log-probabilities beside the logits and makes two more such tensors in its
backward pass. With 50 000 words these are most of a step's memory, and writing them into new pages takes as long as
the arithmetic. Here logits become probabilities, and these the gradient, where they are.

Shape legend: T tokens, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits taken at once on a CPU: 1 MiB in fp32 stays in the cache from the maximum to the sum.
_CHUNK = 1 << 18


def spend_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """`-log softmax(z_t)[y_t]`, differentiable once; the logits are overwritten.

    Whatever made the logits must not need its own result in its backward pass, as a linear layer and a product with a
    number do not; torch raises a RuntimeError there otherwise.

    Args:
        logits: (T, V), fp32 or fp64. Not to be read again.
        labels: (T,) int64.

    Returns:
        (T,) losses in nats, of the logits' type.

    Example:
        >>> spend_logits(torch.zeros(1, 4), torch.tensor([2]))
        tensor([1.3863])
    """
    return _SpendLogits.apply(logits, labels)


class _SpendLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits become `exp(z - max z)`."""
        rows = len(logits) if logits.device.type != "cpu" else max(1, _CHUNK // logits.shape[1])
        losses, sums = [], []
        for z, y in zip(logits.detach().split(rows or 1), labels.split(rows or 1), strict=True):
            z -= z.amax(1, keepdim=True)
            chosen = z.gather(1, y[:, None])[:, 0]
            sums.append(z.exp_().sum(1))
            losses.append(sums[-1].log() - chosen)
        ctx.save_for_backward(logits, torch.cat(sums), labels)
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None]:
        """`factor_t (softmax(z_t) - onehot(y_t))`."""
        exponentials, sums, labels = ctx.saved_tensors
        gradient = exponentials.detach()
        gradient *= (factors / sums)[:, None]
        gradient.scatter_add_(1, labels[:, None], -factors[:, None])
        return gradient, None
