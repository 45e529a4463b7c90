"""The inputs of a command, which `--overwrite` must never delete, and which `--resume` compares."""

from pathlib import Path
from typing import Any

from ngdiff.hashes import sha256_file
from ngdiff.manifest import describe_model
from ngdiff.modeling import adapter_base
from ngdiff.paths import absolute_source


def inputs_of(model: str, *others: str | None) -> list[str | Path]:
    """The model, where it is an adapter its base (and that one's, if it is an adapter, too), and what else was given.

    Args:
        model: As given to --model: folder, hub name or shape.
        others: Data sets and tokenizers as typed, `:SPLIT` included; None where an option was not given.

    Raises:
        InputError: an adapter that does not name its base.
    """
    found: list[str | Path] = [model]
    while (base := adapter_base(found[-1])) is not None and base not in found:
        found.append(base)
    return [*found, *(other for other in others if other is not None)]


def described_shape(shape: str) -> dict[str, Any]:
    """For the manifest: a shape with random weights by its name, or by its file with place and hash."""
    if not Path(shape).is_file():
        return {"shape": shape}
    return {"shape": shape, "sha256": sha256_file(shape), "place": absolute_source(shape)}


def described_model(name: str | Path) -> dict[str, Any]:
    """As `ngdiff.manifest.describe_model`; of an adapter under `base` its base model, too, which it is nothing without.

    Raises:
        InputError: an adapter that does not name its base.
    """
    base = adapter_base(name)
    return describe_model(name) | ({} if base is None else {"base": described_model(base)})
