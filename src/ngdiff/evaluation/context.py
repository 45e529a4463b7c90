"""How many tokens a model can see, and how many of a row it is shown."""

from typing import Any

from ngdiff.errors import InputError

# Longest row where neither the user nor the model sets a lower limit: bounds the memory of a surprise row.
LONGEST_ROW = 1024


def context_length(model: Any) -> int | None:
    """Positions the model was built for, `config.max_position_embeddings`; None when it states no limit."""
    length = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def row_limit(model: Any, max_length: int | None) -> int:
    """Longest row in tokens: `max_length`, by default the model's context, at most 1024.

    A model without a `config` states no limit.

    Raises:
        InputError: `max_length` is beyond the model's context.
    """
    context = context_length(model) if hasattr(model, "config") else None
    if max_length is None:
        return min(context or LONGEST_ROW, LONGEST_ROW)
    if context is not None and max_length > context:
        raise InputError(f"--max-length {max_length} is beyond the model's context of {context} tokens")
    return max_length
