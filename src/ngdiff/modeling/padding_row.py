"""The embedding of the pad token, as the checkpoint has it."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from ngdiff.modeling.vocabulary import input_embedding


@torch.no_grad()
def restore_padding_row(model: nn.Module, folder: Path) -> None:
    """Copy the pad token's row of the input embedding from the weights in `folder`, in place.

    Some models of transformers set it to zero after it was loaded (Youtu, in 5.23). That is no harm to a token that is
    never read; but it may be the end token, and the row of the output head, too.
    """
    embedding = input_embedding(model)
    row = None if embedding is None else getattr(embedding, "padding_idx", None)
    if embedding is None or row is None:
        return
    name = next(name for name, module in model.named_modules() if module is embedding) + ".weight"
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            if name in tensors.keys():  # noqa: SIM118 - it is no dict
                embedding.weight[row] = tensors.get_slice(name)[row : row + 1][0].to(embedding.weight)
