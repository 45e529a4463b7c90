"""The output head of a model, what is done to the logits behind it, and what the config says of its text part."""

import inspect
from typing import Any, NamedTuple

from torch import nn


class LogitTransform(NamedTuple):
    """`z -> cap(scale z)`, `cap(z) = soft_cap tanh(z / soft_cap)`, or `z` where `soft_cap` is None."""

    scale: float = 1.0
    soft_cap: float | None = None


def output_head(model: nn.Module) -> nn.Module | None:
    """The module that makes logits of hidden states, or None where the model names none."""
    inner: Any = getattr(model, "module", model)  # DistributedDataParallel has no methods of the model
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None


def logit_transform(model: nn.Module) -> LogitTransform:
    """What the model's configuration says of its logits: Cohere multiplies them, Granite divides, Gemma bounds them.

    It says nothing of a model that does something else: compare with the model's own logits.
    """
    config = getattr(getattr(model, "module", model), "config", None)
    return LogitTransform(
        float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0),
        getattr(config, "final_logit_softcapping", None),
    )


def keeps_logits(model: nn.Module) -> bool:
    """Whether a model's pass takes `logits_to_keep`: of how many last positions the logits are wanted."""
    # A PEFT wrapper's forward takes anything; the model inside says what it knows.
    outer: Any = model
    inner = outer.get_base_model() if hasattr(outer, "get_base_model") else outer
    return "logits_to_keep" in inspect.signature(inner.forward).parameters


def text_config(model: nn.Module) -> Any:
    """The configuration that a model's text layers use; None if there is none, or more than one candidate."""
    config: Any = getattr(getattr(model, "module", model), "config", None)
    if not hasattr(config, "get_text_config"):
        return config
    try:
        return config.get_text_config(decoder=True)
    except ValueError:  # several parts speak
        return None


def depends_on_length(model: nn.Module) -> bool:
    """Whether a model's output for a token depends on the longest position of its pass: `longrope`, `dynamic`."""
    config = text_config(model)
    rope: Any = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *(kind for kind in rope.values() if isinstance(kind, dict))]  # one for all layers, or by their type
    return any(kind.get("rope_type", kind.get("type")) in ("longrope", "dynamic") for kind in kinds)
