"""Log-probabilities of labelled tokens, and other numbers from the same logits, batched.

Shapes: B rows, T padded tokens, K <= T positions with logits, M = B K, V vocabulary, N labels in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from ngdiff.data.encode import IGNORED
from ngdiff.evaluation.batching import TOKENS_PER_BATCH, batches_by_tokens
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.evaluation.plain_outputs import plain_outputs
from ngdiff.modeling.head import keeps_logits
from ngdiff.speed.beginnings import shared_logits

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]
_LOGIT_ROWS = 512  # rows of fp32 logits alive at once: 512 x 128k words x 4 bytes = 0.26 GB, and a few copies


@dataclass(frozen=True, slots=True)
class TokenScores:
    """What a model says about the N labels of one sequence.

    Attributes:
        nll: `-log p(label)`, nats.
        z: `(log p(label) - mu) / sigma` with mu and sigma mean and standard deviation of `log p` over the vocabulary
            under p; 0 where sigma is 0 (the model is certain, or uniform). Min-K%++ (Zhang et al. 2024,
            arXiv 2404.02936), Equation 3. Empty where it was not asked for.
        hit: 1 where the label is the most probable token, else 0. Empty where it was not asked for.
        said: The most probable token at the first label, given ones aside, where it is another token than the label;
            None where there is no such label.
    """

    nll: list[float]
    z: list[float]
    hit: list[int]
    said: int | None


def token_scores(
    model: Any,
    sequences: Sequences,
    *,
    detailed: Sequence[bool] | None = None,
    given: Sequence[int] | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    show_progress: bool = True,
    description: str = "losses",
) -> list[TokenScores]:
    """The scores of every label of every sequence, one forward for each.

    The model runs in its own precision; log-softmax is fp32 (fp64 for an fp64 model) and taken at label positions
    only. Sequences are sorted by length and padded on the right; the attention mask comes from lengths, so it does not
    matter which id pads (it is 0). Batching changes a value by rounding only.

    Args:
        sequences: Pairs `(input_ids, labels)` of equal length, `labels` being `input_ids` or -100 where
            unscored. A label at position 0 has nothing before it and is not scored.
        detailed: For each sequence whether `z` and `hit` are wanted; all by default.
        given: For each sequence how many of its labels `said` skips; none by default.
        tokens_per_batch: Most padded tokens in one forward.

    Returns:
        One for each sequence, in the order given. Values of a broken model may be NaN or infinite: the caller, who
        knows the rows' names, checks them.
    """
    lengths = [len(ids) for ids, _ in sequences]
    wanted = [True] * len(sequences) if detailed is None else list(detailed)
    passed = [0] * len(sequences) if given is None else list(given)
    results: dict[int, TokenScores] = {}
    with tqdm(total=sum(lengths), desc=description, unit="tok", unit_scale=True, disable=not show_progress) as bar:
        for batch in batches_by_tokens(lengths, tokens_per_batch):
            scores = batch_scores(
                model, [sequences[i] for i in batch], [wanted[i] for i in batch], [passed[i] for i in batch]
            )
            results.update(zip(batch, scores, strict=True))
            bar.update(sum(lengths[i] for i in batch))
    return [results[index] for index in range(len(sequences))]


def token_nll(model: Any, sequences: Sequences, **options: Any) -> list[torch.Tensor]:
    """`-log p(label_t | tokens before t)` alone: one float64 tensor per sequence. Options of `token_scores`."""
    found = token_scores(model, sequences, detailed=[False] * len(sequences), **options)
    return [torch.tensor(scores.nll, dtype=torch.float64) for scores in found]


def batch_scores(
    model: Any,
    sequences: Sequences,
    detailed: Sequence[bool],
    given: Sequence[int],
    rows: Sequence[Sequence[int]] | None = None,
) -> list[TokenScores]:
    """`token_scores` of sequences that fit into one forward.

    Args:
        rows: Which of the sequences share a row in which each of their beginnings is computed once
            (`ngdiff.speed.beginnings`), all of them in their order; None: each has a row of its own.
    """
    counts = [sum(label != IGNORED for label in labels[1:]) for _, labels in sequences]
    if not any(counts):
        return [TokenScores([], [], [], None) for _ in sequences]
    wanted = torch.tensor([label for _, labels in sequences for label in labels[1:] if label != IGNORED])  # [N]
    looked_at = torch.tensor(list(detailed)).repeat_interleave(torch.tensor(counts))  # [N]
    with plain_outputs(model), eval_mode(model):
        if rows is None:
            logits, places = _padded_logits(model, sequences)  # [M, V] and [N]
        else:
            logits, places = shared_logits(model, [[sequences[i] for i in row] for row in rows])
        labels = zip(*(of.to(places.device).split(_LOGIT_ROWS) for of in (places, wanted, looked_at)), strict=True)
        parts = [_scores_of(logits[where], own, details) for where, own, details in labels]
    nll, z, best = (torch.cat(columns) for columns in zip(*parts, strict=True))
    split = zip(nll.split(counts), z.split(counts), best.split(counts), wanted.split(counts), strict=True)
    return [
        _collect(*own, detailed=looked, given=passed)
        for own, looked, passed in zip(split, detailed, given, strict=True)
    ]


def _padded_logits(model: Any, sequences: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [M, V] of one sequence in each row, padded on the right, and in which of them each label is predicted."""
    width = max(len(ids) for ids, _ in sequences)
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    predicts = torch.zeros(len(sequences), width, dtype=torch.bool)  # whether position t predicts a label
    for row, (tokens, labels) in enumerate(sequences):
        ids[row, : len(tokens)] = torch.as_tensor(tokens)
        mask[row, : len(tokens)] = 1
        predicts[row, : len(tokens) - 1] = torch.as_tensor(labels[1:]) != IGNORED
    first = int(predicts.any(dim=0).nonzero()[0])  # nothing before this position is predicted in any row
    options = {"logits_to_keep": width - first} if keeps_logits(model) else {}
    device = model.device
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **options).logits
    kept = predicts[:, width - logits.shape[1] :]  # logits [B, K, V] belong to the last K positions
    return logits.flatten(0, 1), kept.flatten().nonzero()[:, 0].to(logits.device)


def _scores_of(
    logits: torch.Tensor, wanted: torch.Tensor, looked_at: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """nll, z and most probable token of [n, V] logits, on the CPU; z and token are 0 where not `looked_at`."""
    log_p = torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)
    own = log_p.gather(1, wanted[:, None])[:, 0]
    z = torch.zeros_like(own)
    best = torch.zeros_like(wanted)
    if bool(looked_at.any()):
        log_p = log_p[looked_at]
        best[looked_at] = logits[looked_at].argmax(dim=-1)
        p = log_p.exp()
        log_p = torch.where(p > 0, log_p, 0.0)  # 0 log 0 = 0: logits of -inf, and probabilities below the smallest
        mean = (p * log_p).sum(dim=-1, keepdim=True)
        deviation = (p * (log_p - mean).square()).sum(dim=-1).sqrt()
        z[looked_at] = torch.where(deviation > 0, (own[looked_at] - mean[:, 0]) / deviation, 0.0)
    return -own.cpu().double(), z.cpu().double(), best.cpu()


def _collect(
    nll: torch.Tensor, z: torch.Tensor, best: torch.Tensor, wanted: torch.Tensor, *, detailed: bool, given: int
) -> TokenScores:
    if not detailed:
        return TokenScores(nll.tolist(), [], [], None)
    hit = best == wanted
    misses = (~hit[given:]).nonzero()[:, 0]
    said = int(best[given + misses[0]]) if len(misses) else None
    return TokenScores(nll.tolist(), z.tolist(), hit.long().tolist(), said)
