"""Token losses from hidden states and the output head in one kernel: the logits (T, V) are never all in memory.

The kernels are those of `ngdiff.speed.fused_kernels`.

A model's own scaling of its logits is kept: a factor goes into the hidden states (`s (W h + b) = W (s h) + s b`), a
soft cap into the kernel. Only `liger` takes a head with a bias.

Shape legend: T tokens, V vocabulary, H hidden width.
"""

import torch
from torch import Tensor, nn

from ngdiff.modeling.head import logit_transform, output_head
from ngdiff.speed.fused_kernels import Kernel


class FusedLinearCrossEntropy:
    """`-log softmax(cap(s (W h_t + b)))[y_t]` of the output head's input h, without the model's own logits.

    Args:
        kernel: Computes the losses.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __call__(self, model: nn.Module, hidden: Tensor, labels: Tensor) -> Tensor:
        """(T,) losses in nats, at least fp32.

        Args:
            model: Whose head it is: one linear layer.
            hidden: (T, H), T > 0, in the precision that the head computes in; called outside of autocast.
            labels: (T,) int64, none of them -100.
        """
        head = output_head(model)
        assert isinstance(head, nn.Linear), "checked before the run"
        scale, soft_cap = logit_transform(model)
        bias = None if head.bias is None else (scale * head.bias).to(hidden.dtype)
        nll = self.kernel(scale * hidden, head.weight.to(hidden.dtype), labels, bias, soft_cap)
        return nll if nll.dtype == torch.float64 else nll.float()
