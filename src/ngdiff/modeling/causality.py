"""Whether a model is a causal one: what it says of a token must not depend on those that follow."""

from collections.abc import Sequence

import torch
from torch import nn

from ngdiff.errors import InputError

# Largest difference of logits, relative to their spread, between two rows of one batch that agree up to there.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 5e-2, torch.bfloat16: 5e-2}
_LONGEST = 16  # tokens that are looked at


@torch.no_grad()
def check_causal(model: nn.Module, ids: Sequence[int]) -> None:
    """Refuse a model that sees the token it is to predict: its losses say nothing of what it knows.

    Encoders load as causal language models, too (BERT, RoBERTa, XLM), and are none unless their config says so.

    Args:
        model: In evaluation mode.
        ids: Tokens of a row; one alone is not looked at.

    Raises:
        InputError: the logits of earlier tokens change with the last token.
    """
    own = [int(token) for token in ids[:_LONGEST]]
    if len(own) < 2:
        return
    other = [*own[:-1], next(token for token in own if token != own[-1]) if len(set(own)) > 1 else 0]
    device = next(model.parameters()).device
    both = torch.tensor([own, other], device=device)
    logits = model(input_ids=both, attention_mask=torch.ones_like(both), use_cache=False).logits[:, :-1].double()
    seen = logits.isfinite().all(dim=0)
    if other == own or not seen.any():
        return
    spread = (logits[0][seen].max() - logits[0][seen].min()).clamp(min=1e-30)
    largest = float((logits[0] - logits[1])[seen].abs().max() / spread)
    precision = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    if largest > _ROUNDING.get(precision, 5e-2):
        raise InputError(
            "This is no causal language model: what it says of a token changes with the tokens that follow (logits "
            f"differ by {largest:.1e} of their spread), so that its losses say nothing of what it knows. An encoder "
            'such as BERT is one with "is_decoder": true in config.json, and XLM with "causal": true'
        )
