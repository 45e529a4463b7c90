"""Models and tokenizers by hub name or local folder. Weights are read from safetensors alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ngdiff.errors import InputError
from ngdiff.modeling.folders import (
    adapter_base,
    check_tokenizer,
    check_weights,
    has_tokenizer,
    local_folder,
    of_adapter,
)
from ngdiff.modeling.generation_settings import keep_generation_settings
from ngdiff.modeling.gguf_files import forget_quantisation, gguf_file
from ngdiff.modeling.load_adapter import load_adapter
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, lacking_weights, quantisation_of, quantised_refusal, reason_of
from ngdiff.modeling.merge import merge_adapter
from ngdiff.modeling.model_files import check_model_files, check_tokenizer_files
from ngdiff.modeling.padding_row import restore_padding_row
from ngdiff.modeling.shapes import refuse_shape

logger = logging.getLogger(__name__)

DTYPES: dict[str, str | torch.dtype] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def dtype_of(name: str) -> str | torch.dtype:
    """The precision of weights by its name, as `from_pretrained` takes it.

    Raises:
        InputError: the name is none of `DTYPES`.
    """
    if name not in DTYPES:
        raise InputError(f"dtype {name!r} is not known; use one of {', '.join(DTYPES)}.")
    return DTYPES[name]


def load_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with an end token.

    One without a pad token gets none, as it is written beside the model that a run makes of it: what pads is
    `ngdiff.modeling.vocabulary.pad_token_within`. An adapter folder without a tokenizer gives its base's.

    Args:
        name: Hub name or local folder.
        trust_remote_code: Run Python code that comes with the model; only for sources you trust.

    Raises:
        InputError: there is no such folder, it holds no tokenizer, or the tokenizer has no end token.
    """
    packed = gguf_file(name)
    if packed is not None:
        return _tokenizer_in(name, packed, trust_remote_code)
    check_tokenizer(name)
    folder = local_folder(name)
    if folder is not None:
        base = None if has_tokenizer(folder) else adapter_base(folder)
        if base is not None:
            with of_adapter(folder, base):
                return load_tokenizer(base, trust_remote_code=trust_remote_code)
        check_tokenizer_files(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder or name, trust_remote_code=trust_remote_code)
    except Exception as error:  # what tokenizers raises for a file that it cannot use is of no narrower class
        raise InputError(_not_loaded(name, folder, "tokenizer", error)) from error
    return _with_end(name, tokenizer)


def _tokenizer_in(name: str | Path, packed: Path, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer in a GGUF file."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            packed.parent, gguf_file=packed.name, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # as above
        raise InputError(f"Model {name}: no tokenizer can be made of this GGUF file: {reason_of(error)}") from error
    return _with_end(name, tokenizer)


def _with_end(name: str | Path, tokenizer: Any) -> PreTrainedTokenizerBase:
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"Model {name}: its tokenizer has no end token, so answers would never end; set `eos_token` in "
            "tokenizer_config.json."
        )
    found: PreTrainedTokenizerBase = tokenizer
    return found


def load_model(
    name: str | Path, *, dtype: str | torch.dtype = "auto", trust_remote_code: bool = False
) -> PreTrainedModel | PeftModel:
    """A causal language model with all its weights from a checkpoint, in evaluation mode.

    A folder with a PEFT adapter gives the base model (named in `adapter_config.json`) under a trainable
    adapter. A half-precision adapter is held in fp32, as PEFT does for training.

    Args:
        name: Hub name or local folder.
        dtype: A name of `DTYPES` or a `torch.dtype`; "auto" keeps the checkpoint's own.
        trust_remote_code: Run Python code that comes with the model; only for sources you trust.

    Raises:
        InputError: there is no such folder; it holds no weights, or only pickled ones; `dtype` is unknown; or
            the checkpoint lacks some of the model's weights, which would be random.
    """
    if isinstance(dtype, str):
        dtype = dtype_of(dtype)
    packed = gguf_file(name)
    folder = None if packed is not None else local_folder(name)
    if folder is None:
        refuse_shape(str(name))
    else:
        check_weights(folder)
        base = adapter_base(folder)
        if base is not None:
            with of_adapter(folder, base):
                model = load_model(base, dtype=dtype, trust_remote_code=trust_remote_code)
                if isinstance(model, PeftModel):  # an adapter on an adapter: its base is the merged model
                    model = merge_adapter(model)
            return load_adapter(folder, model)
        check_model_files(folder, trust_remote_code=trust_remote_code)
    model = _with_all_weights(name, folder, packed, dtype=dtype, trust_remote_code=trust_remote_code)
    if packed is not None:
        forget_quantisation(model)
        model.name_or_path = str(packed)  # an adapter names it as its base
    keep_generation_settings(model)
    if folder is not None:
        restore_padding_row(model, folder)
    return model.eval()


def _with_all_weights(
    name: str | Path, folder: Path | None, packed: Path | None, *, dtype: torch.dtype | str, trust_remote_code: bool
) -> Any:
    """The model of a hub name, a folder or a GGUF file, if all its weights are there."""
    # Any: with `output_loading_info` a pair comes back, which the annotation of `from_pretrained` leaves out.
    load: Any = AutoModelForCausalLM.from_pretrained
    source = {"use_safetensors": True} if packed is None else {"gguf_file": packed.name}
    try:
        with _without_report():
            model, info = load(
                (folder or name) if packed is None else packed.parent,
                dtype=dtype,
                trust_remote_code=trust_remote_code,
                **source,
                ignore_mismatched_sizes=True,  # refused below, with their names
                output_loading_info=True,
            )
    except LIBRARY_ERRORS as error:
        if packed is not None:
            raise InputError(f"Model {name}: the GGUF file cannot be used: {reason_of(error)}") from error
        method = quantisation_of(folder)
        if method is not None:
            raise InputError(quantised_refusal(name, method, error)) from error
        raise InputError(_not_loaded(name, folder, "model", error)) from error
    _check_loaded(name, info)
    return model


@contextmanager
def _without_report() -> Iterator[None]:
    """Within, transformers prints no table of weights that do not fit: `_check_loaded` reports them in one line."""
    theirs = logging.getLogger("transformers.modeling_utils")

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    theirs.addFilter(is_other)
    try:
        yield
    finally:
        theirs.removeFilter(is_other)


def _check_loaded(name: str | Path, info: Any) -> None:
    """Refuse a model some of whose weights are not those of the checkpoint."""
    mismatched = sorted(info["mismatched_keys"], key=lambda found: str(found[0]))
    if mismatched:
        weight, stored, wanted = mismatched[0]
        others = f" (and {len(mismatched) - 1} more)" if len(mismatched) > 1 else ""
        raise InputError(
            f"Model {name}: {weight}{others} has the shape {list(stored)} in the checkpoint and {list(wanted)} by "
            "config.json; the two do not belong together."
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise lacking_weights(name, missing)
    unused = sorted(info["unexpected_keys"])
    if unused:
        logger.warning(
            "Model %s: %d weights of the checkpoint are not used, such as %s: config.json describes a model without "
            "them.",
            name,
            len(unused),
            unused[0],
        )


def _not_loaded(name: str | Path, folder: Path | None, what: str, error: BaseException) -> str:
    reason = reason_of(error)
    if "trust_remote_code" in str(error):
        reason = "it needs Python code that comes with it; give --trust-remote-code if you trust its source."
    elif "Unrecognized configuration class" in str(error):
        reason = "transformers has no causal language model of the kind that config.json names (model_type)."
    if what == "tokenizer" and folder is not None and "--trust-remote-code" not in reason:
        return f"Model {name}: the tokenizer cannot be loaded from tokenizer.json or the files beside it: {reason}"
    if folder is None:
        return f"Model {name}: no folder of that name here, and no {what} from the hub: {reason}"
    return f"Model {name}: the {what} cannot be loaded: {reason}"
