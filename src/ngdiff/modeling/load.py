"""Models and tokenizers by hub name or local folder. Weights are read from safetensors alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ngdiff.errors import InputError
from ngdiff.modeling.folders import adapter_base, check_weights, has_tokenizer, local_folder

DTYPES: dict[str, str | torch.dtype] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load_tokenizer(name: str | Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with an end token and a pad token.

    A tokenizer without a pad token gets its end token as one. That is safe here: attention masks and labels
    come from lengths, never from comparing ids with the pad id. An adapter folder without a tokenizer gives
    its base's.

    Args:
        name: hub name or local folder.
        trust_remote_code: run Python code that comes with the model; only for sources you trust.

    Raises:
        InputError: there is no such folder, it holds no tokenizer, or the tokenizer has no end token.
    """
    folder = local_folder(name)
    if folder is not None and not has_tokenizer(folder):
        base = adapter_base(folder)
        if base is not None:
            with _of_adapter(folder, base):
                return load_tokenizer(base, trust_remote_code=trust_remote_code)
        raise InputError(f"Model {name}: no tokenizer in this folder; expected tokenizer.json beside config.json.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder or name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise InputError(_not_loaded(name, folder, "tokenizer", error)) from error
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"Model {name}: its tokenizer has no end token, so answers would never end; set `eos_token` in "
            "tokenizer_config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    name: str | Path, *, dtype: str | torch.dtype = "auto", trust_remote_code: bool = False
) -> PreTrainedModel | PeftModel:
    """A causal language model with all its weights from a checkpoint, in evaluation mode.

    A folder with a PEFT adapter gives the base model (named in `adapter_config.json`) under a trainable
    adapter. A half-precision adapter is held in fp32, as PEFT does for training.

    Args:
        name: hub name or local folder.
        dtype: a name of `DTYPES` or a `torch.dtype`; "auto" keeps the checkpoint's own.
        trust_remote_code: run Python code that comes with the model; only for sources you trust.

    Raises:
        InputError: there is no such folder; it holds no weights, or only pickled ones; `dtype` is unknown; or
            the checkpoint lacks some of the model's weights, which would be random.
    """
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise InputError(f"dtype {dtype!r} is not known; use one of {', '.join(DTYPES)}.")
        dtype = DTYPES[dtype]
    folder = local_folder(name)
    if folder is not None:
        check_weights(folder)
        base = adapter_base(folder)
        if base is not None:
            with _of_adapter(folder, base):
                model = load_model(base, dtype=dtype, trust_remote_code=trust_remote_code)
            return PeftModel.from_pretrained(model, str(folder), is_trainable=True).eval()
    # Any: with `output_loading_info` a pair comes back, which the annotation of `from_pretrained` leaves out.
    load: Any = AutoModelForCausalLM.from_pretrained
    try:
        model, info = load(
            folder or name,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(_not_loaded(name, folder, "model", error)) from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"Model {name}: the checkpoint lacks {len(missing)} of the model's weights, such as "
            f"{missing[0]}; they would be random."
        )
    return model.eval()


def check_vocabulary(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that makes ids for which the model has no embedding.

    Raises:
        InputError: the tokenizer has more tokens than the model has rows in its embedding matrix.
    """
    rows = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if len(tokenizer) > rows:
        raise InputError(
            f"The tokenizer has {len(tokenizer)} tokens and the model {rows} embeddings: they do not belong "
            "together; give the model's own tokenizer."
        )


@contextmanager
def _of_adapter(folder: Path, base: str | Path) -> Iterator[None]:
    """Errors about a base name the adapter, too: the user gave the adapter and may not know of the base."""
    try:
        yield
    except InputError as error:
        raise InputError(f"Model {folder}: the adapter's base model {base} cannot be used. {error}") from error


def _not_loaded(name: str | Path, folder: Path | None, what: str, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0]
    if "trust_remote_code" in str(error):
        reason = "it needs Python code that comes with it; give --trust-remote-code if you trust its source."
    if folder is None:
        return f"Model {name}: no folder of that name here, and no {what} from the hub: {reason}"
    return f"Model {name}: the {what} cannot be loaded: {reason}"
