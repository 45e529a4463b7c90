"""Further inputs that a user's collator puts into a batch, other than token ids, mask and labels."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ngdiff.errors import InputError

_OF_NGDIFF = ("input_ids", "attention_mask", "labels", "label_positions", "row_id", "alternate", "protect")


def further_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of the model that a batch holds in addition to those that ngdiff makes.

    >>> list(further_inputs({"input_ids": 1, "labels": 2, "row_id": 3, "token_type_ids": 4}))
    ['token_type_ids']
    """
    return {name: value for name, value in batch.items() if name not in _OF_NGDIFF}


def check_further_inputs(model: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """Refuse a batch with inputs that the model does not name: it might ignore them silently.

    Args:
        model: A causal language model, or one under a PEFT adapter.
        batch: From a user's collator.

    Raises:
        InputError: an input that the model's `forward` does not name.
    """
    outer: Any = model
    inner = outer.get_base_model() if hasattr(outer, "get_base_model") else outer
    known = inspect.signature(inner.forward).parameters
    for name in further_inputs(batch):
        if name not in known:
            raise InputError(
                f"data_collator: a batch holds `{name}`, which {type(inner).__name__}.forward does not take; leave it "
                "out of the batch"
            )
