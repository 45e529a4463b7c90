"""A forward pass that returns only what an evaluation reads, whatever other outputs a model's config requests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

# Flags of a config that add outputs to each forward pass or change their form. `output_router_logits` makes a loss of
# them for which a mixture wants the attention mask of all tokens, which a step of generation does not have.
_FLAGS = {
    "output_router_logits": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}


@contextmanager
def plain_outputs(model: nn.Module) -> Iterator[None]:
    """Within, the model's config and those of its parts request no output except logits.

    Args:
        model: Possibly under an adapter.
    """
    changed: list[tuple[dict[str, Any], str, Any]] = []
    for config in _configs(model):
        values = vars(config)
        for name, plain in _FLAGS.items():
            for key in (name, f"_{name}"):  # some flags are properties of a hidden name
                if key in values and values[key] not in (plain, None):
                    changed.append((values, key, values[key]))
                    values[key] = plain
    try:
        yield
    finally:
        for values, key, own in changed:
            values[key] = own


def _configs(model: nn.Module) -> list[Any]:
    """The configs of all modules, each once."""
    found: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "to_dict"):
            found[id(config)] = config
    return list(found.values())
