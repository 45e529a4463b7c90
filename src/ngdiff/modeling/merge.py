"""Merge an adapter into its base model."""

from pathlib import Path
from typing import Any, cast

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from ngdiff.errors import InputError
from ngdiff.file_names import MERGED_BASE
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of
from ngdiff.modeling.save import save_model
from ngdiff.paths import full_path


def merge_adapter(model: PeftModel) -> PreTrainedModel:
    """The base model with the adapter's change in its weights, all of them trainable; the adapter is gone.

    `W <- W + (alpha / r) B A` for LoRA (Hu et al. 2021, Section 4.1), in the precision of `W`. Input embedding and
    output head that were tied and that the adapter changed differently are tied no more.

    Raises:
        InputError: an adapter of a kind that PEFT cannot merge.
    """
    base = cast(PreTrainedModel, model.get_base_model())
    _untie(base)
    try:
        merged = cast(PreTrainedModel, cast(Any, model).merge_and_unload())
    except LIBRARY_ERRORS as error:
        raise InputError(f"--merge-adapter: this adapter cannot be merged: {reason_of(error)}") from error
    if hasattr(merged, "peft_config"):
        del merged.peft_config
    return merged.requires_grad_(True)


def _untie(base: PreTrainedModel) -> None:
    """Give the output head separate weights if it shares those of an embedding and either has an adapter."""
    ends: Any = [base.get_input_embeddings(), base.get_output_embeddings()]
    if None in ends or not any(_is_adapted(end) for end in ends):
        return
    embedding, head = map(_without_adapter, ends)
    if embedding.weight is head.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    for config in {id(c): c for c in (base.config, base.config.get_text_config(decoder=True))}.values():
        config.tie_word_embeddings = False
    base.all_tied_weights_keys = base.get_expanded_tied_weights_keys(all_submodels=True)


def _without_adapter(module: nn.Module) -> Any:
    """The model's own layer."""
    return getattr(module, "base_layer", getattr(module, "original_module", module))


def _is_adapted(module: nn.Module) -> bool:
    return hasattr(module, "base_layer") or hasattr(module, "original_module")


class MergedBase:
    """A merged model as the base of a new adapter: its weights, recorded before, and the folder to write them to."""

    def __init__(self, model: PreTrainedModel, output: Path) -> None:
        """The model gets the name of its folder, which PEFT writes into `adapter_config.json`."""
        self.folder = full_path(output) / MERGED_BASE
        self._model = model
        self._state = model.state_dict()  # the same memory: an adapter renames the weights but does not change them
        model.name_or_path = str(self.folder)

    def write(self, tokenizer: Any) -> None:
        """Write the model and the tokenizer, without which the trained adapter is useless.

        Raises:
            OSError: as `save_model`.
        """
        save_model(self._model, tokenizer, self.folder, state=self._state)
