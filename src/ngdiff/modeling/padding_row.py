"""The embedding of the pad token, restored from the checkpoint."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from ngdiff.modeling.vocabulary import input_embedding


@torch.no_grad()
def restore_padding_row(model: nn.Module, folder: Path) -> None:
    """Copy the pad token's row of the input embedding from the weights in `folder`, in place.

    Some models of transformers set it to zero after loading (Youtu, in 5.23). That is harmless for a token that is
    never read; but the pad token may also be the end token, and the row may also be one of the output head.
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
