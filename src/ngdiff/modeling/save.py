"""Write a model so that the folder always holds a complete one: the new one or the one before."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from ngdiff.core.shards import whole
from ngdiff.errors import WriteError
from ngdiff.writing import PARTIAL_FOLDER, share_as_usual


class _Saved(Protocol):
    def save_pretrained(self, folder: Path, /) -> Any: ...


def whole_state(model: nn.Module, *, keep: bool) -> dict[str, Tensor]:
    """The weights of a sharded model, gathered tensor by tensor on the CPU. All processes must call it.

    Args:
        model: Its weights are sharded over the processes.
        keep: False in processes that do not need the result: theirs is empty.
    """
    state = {}
    for name, tensor in model.state_dict().items():
        full = whole(tensor).detach()
        if keep:
            state[name] = full.cpu()
    return state


def is_failed_write(error: Exception) -> bool:
    """Whether an error of `save_pretrained` or `torch.save` means that a file could not be written.

    safetensors has an error of its own for a full disk, tokenizers raises a bare `Exception` with the text of the
    system, and torch a `RuntimeError` of its writer.
    """
    if isinstance(error, OSError | SafetensorError):
        return True
    if type(error) is Exception:
        return "(os error " in str(error)
    return (
        isinstance(error, RuntimeError) and re.search("PytorchStreamWriter|iostream|file write", str(error)) is not None
    )


def save_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: _Saved,
    folder: str | Path,
    *,
    state: dict[str, Tensor] | None = None,
) -> list[str]:
    """Write model (safetensors) and tokenizer to `folder`, for `from_pretrained`.

    Beside an image classifier its `ngdiff.data.Preparation` is written in place of a tokenizer.

    They are written to a temporary place next to their final one and moved when complete: a full disk leaves what was
    there before. The move replaces file by file and is not atomic as a whole. For a PEFT model only the adapter is
    written.

    Args:
        model: What to write.
        tokenizer: Its tokenizer.
        folder: Where to.
        state: The weights, where the model itself holds only parts of them.

    Returns:
        Names of the files in `folder`.

    Raises:
        WriteError: the disk is full, or the folder cannot be written; names the folder and what it takes.
    """
    folder = Path(folder)
    try:
        return _save(model, tokenizer, folder, state)
    except Exception as error:
        if not is_failed_write(error):
            raise
        raise WriteError(
            folder,
            error,
            needed=_bytes_of(model, state),
            what="the model",
            advice="what was there is untouched",
        ) from error


def _save(
    model: PreTrainedModel | PeftModel, tokenizer: _Saved, folder: Path, state: dict[str, Tensor] | None
) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL_FOLDER, dir=folder))
    try:
        if state is None:
            model.save_pretrained(str(partial))
        else:
            with _as_if_whole(model):
                model.save_pretrained(str(partial), state_dict=state)
        tokenizer.save_pretrained(partial)
        share_as_usual(partial)
        files = sorted(partial.iterdir())
        for file in files:
            os.replace(file, folder / file.name)
        return [file.name for file in files if (folder / file.name).is_file()]
    finally:
        shutil.rmtree(partial)


def _bytes_of(model: PreTrainedModel | PeftModel, state: dict[str, Tensor] | None) -> int:
    """About what the weights take; of a PEFT model those that are trained."""
    tensors = list((model.state_dict() if state is None else state).values())
    if isinstance(model, PeftModel):
        tensors = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@contextmanager
def _as_if_whole(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within, a model that transformers sharded while loading does not wait for the other processes when it is saved.

    It would put its weights together once more, which takes all processes; what is saved is given.
    """
    config = cast(Any, model).config
    spread = getattr(config, "distributed_config", None)
    if spread is None:
        yield
        return
    config.distributed_config = None
    try:
        yield
    finally:
        config.distributed_config = spread
