"""The norm of an example's gradient."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from ngdiff.data.encode import IGNORED


def gradient_norm(model: Any, input_ids: Sequence[int], labels: Sequence[int]) -> float:
    """L2 norm of the gradient of one answer's mean loss with respect to all weights, those under an adapter included.

        | d/d theta  1/N sum_t -log p(label_t) |

    A small norm suggests that the example was trained on (Grad-Norm, Wang et al. 2024, as used for membership
    inference). Dropout is off. The squares are summed in float64; the gradients have the weights' own precision and
    take as much memory as the weights do. Weights, gradients and modes of the model are as before afterwards.

    Args:
        model: A causal language model.
        input_ids, labels: Of one sequence, labels -100 where no loss counts; at least one label not at position 0.
    """
    weights = [p for p in model.parameters() if p.is_floating_point()]
    needed = [p.requires_grad for p in weights]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for p in weights:
            p.requires_grad_(True)
        with torch.enable_grad():
            ids = torch.tensor([list(input_ids)], device=model.device)
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, :-1]
            targets = torch.tensor(list(labels[1:]), device=logits.device)
            logits = logits if logits.dtype == torch.float64 else logits.float()
            loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    finally:
        for p, before in zip(weights, needed, strict=True):
            p.requires_grad_(before)
        for module, training in modes:
            module.training = training
    # The largest magnitude is divided out: squares of small bf16 and large fp32 gradients would leave fp32's range.
    norms = [torch.linalg.vector_norm(g.float()).item() for g in gradients if g is not None]
    return math.hypot(*norms)
