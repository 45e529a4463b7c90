"""Whether two models are one, as far as the hashes of their weights say."""

from collections.abc import Mapping
from typing import Any

from ngdiff.errors import InputError

_WEIGHTS = (".safetensors", ".gguf")


def is_same_model(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two models have the same weights; False where one of them does not say.

    Args:
        one, other: As `ngdiff.manifest.describe_model` describes them, an adapter with its `base`.

    >>> is_same_model({"files": {"model.safetensors": "a"}}, {"files": {"model.safetensors": "a", "config.json": "b"}})
    True
    >>> is_same_model({"source": "owner/name", "revision": "1"}, {"source": "owner/name", "revision": "1"})
    True
    >>> is_same_model({}, {})
    False
    """
    if "files" not in one and "files" not in other:
        return one.get("source") is not None and _named(one) == _named(other)
    return bool(_weights(one)) and _weights(one) == _weights(other)


def refuse_same_model(what: str, reference: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Refuse a reference that is the model itself, beside which everything looks forgotten.

    Args:
        what: The option that names the reference, with its value.
        reference, model: As of `is_same_model`.

    Raises:
        InputError: it is.
    """
    if is_same_model(reference, model):
        raise InputError(f"{what}: it has the weights of the model itself; name a model that never saw the rows")


def _named(model: Mapping[str, Any]) -> tuple[Any, Any]:
    return model.get("source"), model.get("revision")


def _weights(model: Mapping[str, Any]) -> tuple[list[str], ...]:
    """Hashes of the weights, and of those below an adapter."""
    own = sorted(digest for name, digest in model.get("files", {}).items() if name.endswith(_WEIGHTS))
    return (own, *(_weights(model["base"]) if "base" in model else ())) if own else ()
