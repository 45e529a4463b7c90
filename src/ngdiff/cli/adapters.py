"""A model that is already an adapter: train it further, or merge it into its base first."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli.options import LoraOptions
from ngdiff.errors import InputError
from ngdiff.modeling import adapter_base

if TYPE_CHECKING:
    from ngdiff.modeling import MergedBase


def check_adapter_options(model: str, options: LoraOptions) -> None:
    """Refuse a second adapter on top of the one that the user gave, before anything is loaded.

    Raises:
        InputError: `--lora-rank` for an adapter without `--merge-adapter`, or `--merge-adapter` without an adapter.
    """
    base = adapter_base(model)
    if options.merge_adapter and base is None:
        raise InputError(f"--merge-adapter: {model} is a whole model, not an adapter; omit the option")
    if base is not None and options.lora_rank and not options.merge_adapter:
        raise InputError(
            f"--lora-rank {options.lora_rank}: --model {model} is already an adapter (of {base}). Omit --lora-rank to "
            "train that adapter further, or give --merge-adapter to merge it into its base model and train a new one"
        )


def prepared(model: Any, options: LoraOptions, output: Path) -> "tuple[Any, MergedBase | None]":
    """The loaded model, merged if requested, ready to be trained.

    Returns:
        The model, and the merged base that must be saved with a new adapter; None if there is none.
    """
    if not options.merge_adapter:
        return model, None
    from ngdiff.modeling import MergedBase, merge_adapter

    merged = merge_adapter(model)
    return merged, MergedBase(merged, output) if options.lora_rank else None
