"""Write a model so that the folder holds a whole one or the one before."""

import os
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


class _Saved(Protocol):
    def save_pretrained(self, folder: Path, /) -> Any: ...


def whole_state(model: nn.Module, *, keep: bool) -> dict[str, Tensor]:
    """The weights of a sharded model, put together tensor by tensor, on the CPU. All processes must call it.

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


def save_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: _Saved,
    folder: str | Path,
    *,
    state: dict[str, Tensor] | None = None,
) -> None:
    """Write model (safetensors) and tokenizer to `folder`, for `from_pretrained`.

    Beside an image classifier its `ngdiff.data.Preparation` is written in place of a tokenizer.

    They are written beside their place first and moved when all is there: a full disk leaves what was there
    before. The move replaces file by file and is not atomic as a whole. For a PEFT model only the adapter is
    written.

    Args:
        model: what to write.
        tokenizer: its tokenizer.
        folder: where to.
        state: the weights, where the model itself holds only parts of them.

    Raises:
        OSError: the disk is full, or the folder cannot be written; names the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        try:
            if state is None:
                model.save_pretrained(str(partial))
            else:
                with _as_if_whole(model):
                    model.save_pretrained(str(partial), state_dict=state)
            tokenizer.save_pretrained(partial)
        except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
            raise OSError(
                f"the model could not be written to {folder} ({error}); what was there is untouched"
            ) from error
        for file in sorted(partial.iterdir()):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(partial)


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
