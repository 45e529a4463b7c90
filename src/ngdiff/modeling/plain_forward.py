"""The plain forward pass of a causal language model: the losses of its answer tokens.

`ngdiff.speed` has faster ways to the same numbers.

Shape legend: B rows, L tokens a row (padded), T labelled tokens of the whole batch, V vocabulary, H hidden width.
"""

from collections.abc import Mapping, Set
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.modeling.further_inputs import further_inputs
from ngdiff.modeling.head_input import head_hook


def forward_answers(
    model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
) -> Answers:
    """Run `model` on a batch and return the negative log-probabilities of its labels.

    Token t + 1 is predicted from tokens up to t, so a label at position 0 has no prediction and does not
    count. Logits go to fp32 (bf16 loses the third digit of a loss).

    Args:
        model: A causal language model: `model(input_ids=, attention_mask=)` has `.logits` of shape (B, L, V).
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts.
            `label_positions`, (T,) int64, saves the search for the labels, for which a GPU would have to be waited for.
            Further inputs, such as `token_type_ids`, are passed to the model as they are.
        needs: What else to return: `logits`; `hidden`, the hidden states after one layer, or `head_input`, those in
            front of the output head, both in `Answers.hidden`.
        layer: Number of the layer after which `hidden` is taken, from 1.
    """
    places = label_positions(batch)
    options: dict[str, Any] = {"output_hidden_states": True} if "hidden" in needs else {}
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")} | further_inputs(batch)
    with (
        head_hook(model) if "head_input" in needs else nullcontext() as hook,
        nullcontext() if hook is None else hook.at(places - 1),
    ):
        output = model(**inputs, use_cache=False, **options)
        hidden = None if hook is None or hook.value is None else hook.value[0]
    if "hidden" in needs:
        hidden = at_positions(output.hidden_states[layer], places - 1)
    logits = upcast(at_positions(output.logits, places - 1))
    targets = batch["labels"].flatten()[places]
    nll = nn.functional.cross_entropy(logits, targets, reduction="none")
    return answers_of(batch, places, nll, targets, logits if "logits" in needs else None, hidden)


def answers_of(
    batch: Mapping[str, Tensor],
    places: Tensor,
    nll: Tensor,
    targets: Tensor,
    logits: Tensor | None,
    hidden: Tensor | None,
) -> Answers:
    """The model's outputs at the labels of a batch."""
    rows, columns = batch["labels"].shape
    return Answers(nll=nll, row=places // columns, rows=rows, labels=targets, logits=logits, hidden=hidden)


def label_positions(batch: Mapping[str, Tensor]) -> Tensor:
    """(T,) int64, positions of all labels in the flattened (B L) tokens, those at position 0 of a row left out."""
    if "label_positions" in batch:
        return batch["label_positions"]
    labelled = batch["labels"] != IGNORED
    labelled[:, 0] = False
    return labelled.flatten().nonzero()[:, 0]


def at_positions(states: Tensor, places: Tensor) -> Tensor:
    """(B, L, *) -> (T, *)."""
    return states.flatten(0, 1)[places]


def upcast(logits: Tensor) -> Tensor:
    """Logits in fp32; fp64 stays."""
    return logits if logits.dtype == torch.float64 else logits.float()
