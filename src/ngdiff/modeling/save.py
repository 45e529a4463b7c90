"""Write a model so that the folder holds a whole one or the one before."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Protocol

from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedModel


class _Saved(Protocol):
    def save_pretrained(self, folder: Path, /) -> Any: ...


def save_model(model: PreTrainedModel | PeftModel, tokenizer: _Saved, folder: str | Path) -> None:
    """Write model (safetensors) and tokenizer to `folder`, for `from_pretrained`.

    Beside an image classifier its `ngdiff.data.Preparation` is written in place of a tokenizer.

    They are written beside their place first and moved when all is there: a full disk leaves what was there
    before. The move replaces file by file and is not atomic as a whole. For a PEFT model only the adapter is
    written.

    Raises:
        OSError: the disk is full, or the folder cannot be written; names the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        try:
            model.save_pretrained(str(partial))
            tokenizer.save_pretrained(partial)
        except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
            raise OSError(
                f"the model could not be written to {folder} ({error}); what was there is untouched"
            ) from error
        for file in sorted(partial.iterdir()):
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(partial)
