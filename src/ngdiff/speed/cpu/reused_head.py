"""Token losses from hidden states and the output head in reused memory, for a single process on a CPU.

Logits and the gradient of the head's weight are a step's largest tensors, and new memory is expensive: the operating
system clears each page when it is first written. With 50 000 words that takes half as long as the product that makes
the weight's gradient.

Shape legend: T tokens, V vocabulary, H hidden width.
"""

import math
from collections.abc import Sequence
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ngdiff.speed.token_loss import exponentials_and_losses, gradient_of_logits

_ALIGNMENT = 64  # bytes, torch's own


class BufferPool:
    """A pool of CPU memory: a block is reused once no tensor refers to it.

    It grows to the most memory in use at once and is freed with the pool. Pickled, as for a data loader's process, it
    is empty.
    """

    def __init__(self) -> None:
        # Each block with the view last handed out; the reference is dead once no tensor uses that view.
        self._blocks: list[tuple[bytearray, ref[memoryview]]] = []

    def __reduce__(self) -> tuple[type["BufferPool"], tuple[()]]:
        return BufferPool, ()

    def __len__(self) -> int:
        return len(self._blocks)

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor of at least one entry."""
        size = math.prod(shape) * dtype.itemsize
        block = self._take(size + _ALIGNMENT)
        start = -torch.frombuffer(block, dtype=torch.uint8).data_ptr() % _ALIGNMENT
        given = memoryview(block)[start : start + size]
        self._blocks.append((block, ref(given)))
        return torch.frombuffer(given, dtype=dtype).view(*shape)

    def _take(self, size: int) -> bytearray:
        """Take out the smallest free block that is large enough; else make a new one and drop the smallest free one."""
        free = sorted((len(block), n) for n, (block, given) in enumerate(self._blocks) if given() is None)
        enough = [n for length, n in free if length >= size]
        block = self._blocks.pop(enough[0] if enough else free[0][1])[0] if free else None
        return block if block is not None and enough else bytearray(size)


class ReusedHead:
    """A kernel for `FusedLinearCrossEntropy`: `-log softmax(W h_t + b)[y_t]` through logits, differentiable once."""

    def __init__(self) -> None:
        self._blocks = BufferPool()

    def __call__(
        self, hidden: Tensor, weight: Tensor, labels: Tensor, bias: Tensor | None, soft_cap: float | None
    ) -> Tensor:
        """(T,) losses.

        Raises:
            ValueError: logits with a soft cap, or not in fp32 or fp64.
        """
        if soft_cap is not None or hidden.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"logits in {hidden.dtype} with a soft cap of {soft_cap}")
        losses: Tensor = _LinearLosses.apply(hidden, weight, bias, labels, self._blocks)
        return losses


class _LinearLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, blocks: BufferPool
    ) -> Tensor:
        """Keeps `exp(z - max z)` in place of logits."""
        logits = blocks.empty((len(hidden), len(weight)), hidden.dtype)
        torch.mm(hidden, weight.T, out=logits)
        if bias is not None:
            logits += bias
        sums, losses = exponentials_and_losses(logits, labels)
        ctx.save_for_backward(hidden, weight, logits, sums, labels)
        ctx.blocks = blocks
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the head's input, weight and bias."""
        hidden, weight, exponentials, sums, labels = ctx.saved_tensors
        of_logits = gradient_of_logits(exponentials, sums, labels, factors)
        of_hidden = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_hidden = of_logits @ weight
        if ctx.needs_input_grad[1]:
            of_weight = torch.mm(of_logits.T, hidden, out=ctx.blocks.empty(weight.shape, weight.dtype))
        if ctx.needs_input_grad[2]:
            of_bias = of_logits.sum(0)
        return of_hidden, of_weight, of_bias, None, None
