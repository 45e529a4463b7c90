"""Relearning: a few training steps on other data may bring forgotten rows back.

Lynch et al. 2024 (arXiv 2402.16835), Hu et al. 2024 (arXiv 2406.13356). The model is trained on every second forget
row, with the others measured; on retain rows; and on holdout rows, which are unrelated to either: each time
from where it was. The mean cross-entropy of the answers is minimised with AdamW (betas .9 and .999, no decay) on all
weights at a constant rate: that of `ngdiff finetune`, 2e-3 below 50 M parameters, else 2e-5.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ngdiff.audit.base import Bed, NotApplicableError, Variant, variant_of
from ngdiff.audit.target import Target
from ngdiff.data import AnswerCollator, Row, encode_rows
from ngdiff.modeling.plain_forward import forward_answers
from ngdiff.modeling.vocabulary import embedding_rows, pad_token_within
from ngdiff.plurals import number_of
from ngdiff.training.finetune import auto_rate

STEPS = (5, 10, 20, 40)  # after which the rows are measured
ROWS = 8  # per step
_LEAST = 4  # forget rows: two to train on, two to measure


def relearn(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """The curve over steps of each source: `forget, 5 steps`, `retain, 40 steps`, ..."""
    if len(bed.forget) < _LEAST:
        raise NotApplicableError(
            f"there are {len(bed.forget)} forget rows; at least {_LEAST} are needed, half to train on and half to "
            "measure"
        )
    sources = {
        "forget": (bed.forget[1::2], bed.forget[::2]),
        "retain": (bed.retain, bed.forget),
        "holdout": (bed.holdout, bed.forget),
    }
    for source, (learned, measured) in sources.items():
        if not learned:
            continue
        target.restore()
        for step in _trained(target.model, learned, bed):
            if step in STEPS:
                yield f"{source}, {number_of(step, 'step')}", variant_of(bed.ask(target.model, measured))


def _trained(model: Any, rows: Sequence[Row], bed: Bed) -> Iterator[int]:
    """Train in place; yields the number of steps after each step."""
    encoded = encode_rows(rows, bed.tokenizer, bed.template, max_length=bed.limit(model))
    collate = AnswerCollator(pad_token_within(bed.tokenizer, embedding_rows(model)))
    model.requires_grad_(True).eval()  # without dropout: the same steps for every model
    optimizer = torch.optim.AdamW(model.parameters(), lr=auto_rate(model), weight_decay=0.0)
    generator = torch.Generator().manual_seed(bed.seed)
    order: list[int] = []
    for step in range(1, max(STEPS) + 1):
        while len(order) < min(ROWS, len(encoded)):
            order += torch.randperm(len(encoded), generator=generator).tolist()
        batch, order = order[:ROWS], order[ROWS:]
        with torch.enable_grad():
            inputs = {name: value.to(model.device) for name, value in collate([encoded[i] for i in batch]).items()}
            forward_answers(model, inputs).nll.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        yield step
