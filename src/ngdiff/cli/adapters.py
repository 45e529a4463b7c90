"""A model that is an adapter already: trained as it is, or merged into its base first."""

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
        InputError: `--lora-rank` for an adapter without `--merge-adapter`, or `--merge-adapter` for what is none.
    """
    base = adapter_base(model)
    if options.merge_adapter and base is None:
        raise InputError(f"--merge-adapter: {model} is a whole model and no adapter; leave the option out")
    if base is not None and options.lora_rank and not options.merge_adapter:
        raise InputError(
            f"--lora-rank {options.lora_rank}: --model {model} is an adapter (of {base}) already. Leave out "
            "--lora-rank to train that adapter on, or give --merge-adapter to merge it into its base model and train a "
            "new one on top"
        )


def prepared(model: Any, options: LoraOptions, output: Path) -> "tuple[Any, MergedBase | None]":
    """The loaded model as it is to be trained, merged where that was asked for.

    Returns:
        The model, and what must be written beside a new adapter; None where nothing must.
    """
    if not options.merge_adapter:
        return model, None
    from ngdiff.modeling import MergedBase, merge_adapter

    merged = merge_adapter(model)
    return merged, MergedBase(merged, output) if options.lora_rank else None
