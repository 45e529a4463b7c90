"""How many tokens a model can see."""

from typing import Any


def context_length(model: Any) -> int | None:
    """Positions the model was built for, `config.max_position_embeddings`; None when it states no limit."""
    length = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None
