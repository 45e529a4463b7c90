"""The forward pass of a causal language model, reduced to what it says of its answer tokens.

The hidden states are cut down to the positions that predict a label *before* the output head: a prompt and padding of
200 tokens beside an answer of 50 would otherwise cost five times the logits, in time and in memory. It is done by a
hook in front of the head, so that whatever a model does to its logits afterwards (soft caps, scales) still happens.

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary, H hidden width.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers


def forward_answers(
    model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), *, layer: int | None = None
) -> Answers:
    """Run `model` on a batch and return the negative log-probabilities of its labels.

    Token t + 1 is predicted from tokens up to t, so a label at position 0 has no prediction and does not
    count. The logits of labelled positions alone are computed, and go to fp32 (bf16 loses the third digit of a loss).

    Args:
        model: A causal language model: `model(input_ids=, attention_mask=)` has `.logits` of shape (B, L, V).
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts.
        needs: What else to return: `logits`; `hidden`, the hidden states after one layer, or `head_input`, those in
            front of the output head, both in `Answers.hidden`.
        layer: Number of the layer after which `hidden` is taken, from 1.
    """
    labels = batch["labels"][:, 1:]
    labelled = labels != IGNORED
    with_hidden = "hidden" in needs
    with selecting_positions(model, labelled) as head_inputs:
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
            **({"output_hidden_states": True} if with_hidden else {}),
        )
    logits = output.logits[:, :-1][labelled] if head_inputs is None else output.logits[0]  # (T, V)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    targets = labels[labelled]
    hidden = None
    if with_hidden:
        hidden = output.hidden_states[layer][:, :-1][labelled]
    elif "head_input" in needs and head_inputs is not None:
        hidden = head_inputs[0][0]
    return Answers(
        nll=nn.functional.cross_entropy(logits, targets, reduction="none"),
        row=labelled.nonzero()[:, 0],
        rows=labels.shape[0],
        labels=targets,
        logits=logits if "logits" in needs else None,
        hidden=hidden,
    )


@contextmanager
def selecting_positions(model: nn.Module, labelled: Tensor) -> Iterator[list[Tensor] | None]:
    """Within, the model's output head sees the positions (b, t) with `labelled[b, t]` alone, as one row.

    Args:
        model: A causal language model, possibly wrapped.
        labelled: (B, L - 1) bool.

    Yields:
        A list that gets what the head saw, (1, T, H), at each forward pass; None for a model without a separate output
        head, whose logits are those of all positions.
    """
    head = output_head(model)
    if head is None:
        yield None
        return
    seen: list[Tensor] = []

    def select(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *rest = inputs
        seen.append(hidden[:, :-1][labelled][None])
        return (seen[-1], *rest)

    handle = head.register_forward_pre_hook(select)
    try:
        yield seen
    finally:
        handle.remove()


def output_head(model: nn.Module) -> nn.Module | None:
    """The module that makes logits of hidden states, or None where the model names none."""
    inner: Any = getattr(model, "module", model)  # DistributedDataParallel has no methods of the model
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
