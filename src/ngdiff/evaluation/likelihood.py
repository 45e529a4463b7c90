"""Negative log-likelihood of labelled tokens, batched.

Shapes: B sequences, T padded tokens, K <= T positions with logits, V vocabulary, N labels in a batch.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from ngdiff.data.encode import IGNORED
from ngdiff.evaluation.batching import batches_by_tokens
from ngdiff.evaluation.eval_mode import eval_mode

_LOGIT_ROWS = 1024  # rows of fp32 logits alive at once: 1024 x 128k words x 4 bytes = 0.5 GB


def token_nll(
    model: Any,
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    tokens_per_batch: int = 4096,
    show_progress: bool = True,
    description: str = "losses",
) -> list[torch.Tensor]:
    """`-log p(label_t | tokens before t)` for every label of every sequence, nats, float64 on the CPU.

    The model runs in its own precision; log-softmax is fp32 and taken at label positions only. Sequences are
    sorted by length and padded on the right; the attention mask comes from lengths, so the pad token is never
    compared with and its id does not matter (0 is fed). Batching changes a value by rounding only.

    Args:
        sequences: pairs `(input_ids, labels)` of equal length, `labels` being `input_ids` or -100 where
            unscored. A label at position 0 has nothing before it and is not scored.
        tokens_per_batch: most padded tokens in one forward.

    Returns:
        One tensor per sequence, in the order given, of as many values as it has scored labels. Values of a
        broken model may be NaN or infinite; the caller knows the rows' names and says so.
    """
    lengths = [len(ids) for ids, _ in sequences]
    results: list[torch.Tensor | None] = [None] * len(sequences)
    keeps_logits = "logits_to_keep" in inspect.signature(_forward_of(model)).parameters
    with (
        eval_mode(model),
        tqdm(total=sum(lengths), desc=description, unit="tok", unit_scale=True, disable=not show_progress) as bar,
    ):
        for batch in batches_by_tokens(lengths, tokens_per_batch):
            values = _batch_nll(model, [sequences[i] for i in batch], keeps_logits)
            for index, value in zip(batch, values, strict=True):
                results[index] = value
            bar.update(sum(lengths[i] for i in batch))
    return [value for value in results if value is not None]


def _forward_of(model: Any) -> Any:
    # A PEFT wrapper's forward takes anything; the model inside says what it knows.
    return model.get_base_model().forward if hasattr(model, "get_base_model") else model.forward


def _batch_nll(
    model: Any, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], keeps_logits: bool
) -> list[torch.Tensor]:
    width = max(len(ids) for ids, _ in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    targets = torch.full_like(ids, IGNORED)  # [B, T]; targets[:, t] is what position t has to predict
    for row, (tokens, labels) in enumerate(sequences):
        ids[row, : len(tokens)] = torch.as_tensor(tokens)
        mask[row, : len(tokens)] = 1
        targets[row, : len(tokens) - 1] = torch.as_tensor(labels[1:])
    scored = targets != IGNORED
    if not scored.any():
        return [torch.zeros(0, dtype=torch.float64) for _ in sequences]

    first = int(scored.any(dim=0).nonzero()[0])  # nothing before this position is predicted in any row
    options = {"logits_to_keep": width - first} if keeps_logits else {}
    device = model.device
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **options).logits
    offset = width - logits.shape[1]  # logits [B, K, V] belong to the last K positions
    where = scored[:, offset:].to(logits.device)
    wanted = targets[:, offset:].to(logits.device)[where]  # [N]
    rows, columns = where.nonzero(as_tuple=True)
    parts = [
        torch.nn.functional.cross_entropy(
            logits[rows[start : start + _LOGIT_ROWS], columns[start : start + _LOGIT_ROWS]].float(),
            wanted[start : start + _LOGIT_ROWS],
            reduction="none",
        )
        for start in range(0, len(wanted), _LOGIT_ROWS)
    ]
    return list(torch.cat(parts).double().cpu().split(scored.sum(dim=1).tolist()))
