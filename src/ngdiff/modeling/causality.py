"""Whether a model is causal: its prediction of a token must not depend on the tokens that follow."""

from collections.abc import Sequence

import torch
from torch import nn

from ngdiff.errors import InputError

# Largest difference of logits, relative to their spread, between two rows of one batch that agree up to there.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 5e-2, torch.bfloat16: 5e-2}
_LONGEST = 16  # tokens that are looked at


@torch.no_grad()
def check_causal(model: nn.Module, ids: Sequence[int]) -> None:
    """Refuse a model that sees the token that it is to predict: its losses say nothing about what it knows.

    Encoders (BERT, RoBERTa, XLM) load as causal language models, too, and are not causal unless their config says so.

    Args:
        model: In evaluation mode.
        ids: Tokens of a row; a single one cannot be checked.

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
            f"differ by {largest:.1e} of their spread), so its losses say nothing about what it knows. An encoder such "
            'as BERT is causal with "is_decoder": true in config.json, and XLM with "causal": true'
        )
