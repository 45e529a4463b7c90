"""How many tokens a model can see, and how many tokens of a row it gets."""

from typing import Any

from ngdiff.errors import InputError

# Longest row where neither the user nor the model sets a limit: what Mamba and BLOOM, which state none, were trained
# with.
LONGEST_ROW = 2048
# Where a configuration states it; MPT has a name of its own.
_STATED = ("max_position_embeddings", "max_seq_len")


def context_length(model: Any) -> int | None:
    """Positions the model was built for, `config.max_position_embeddings`; None when it states no limit."""
    config = model.config.get_text_config(decoder=True)
    lengths = [getattr(config, name, None) for name in _STATED]
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def row_limit(model: Any, max_length: int | None) -> int:
    """Longest row in tokens: `max_length`, by default the model's context, 2048 where it states none.

    A model without a `config` states none.

    Raises:
        InputError: `max_length` is beyond the model's context.
    """
    context = context_length(model) if hasattr(model, "config") else None
    if max_length is None:
        return context or LONGEST_ROW
    if context is not None and max_length > context:
        raise InputError(f"--max-length {max_length} is beyond the model's context of {context} tokens")
    return max_length
