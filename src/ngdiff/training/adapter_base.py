"""Which weights lie under an adapter: a checkpoint holds the adapter alone, which is another model on another base."""

import hashlib
import json
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn

from ngdiff.core.shards import is_sharded
from ngdiff.errors import InputError
from ngdiff.writing import write_json

_FILE = "base_model.json"
_WHOLE_NUMBERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def base_identity(model: nn.Module) -> str:
    """SHA-256 over the weights that no step moves; empty for a model without an adapter, and for sharded weights.

    Of each weight its name, shape, type and the sum of its bits, read as whole numbers: one reading of the memory, and
    the same in whatever order, on whatever device it is summed.
    """
    frozen = [(name, weight) for name, weight in model.named_parameters() if not weight.requires_grad]
    if not isinstance(model, PeftModel) or any(is_sharded(weight) for _, weight in frozen):
        return ""
    found = [[name, list(weight.shape), str(weight.dtype), _sum_of_bits(weight.detach())] for name, weight in frozen]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def note_base(model: nn.Module, checkpoint: Path) -> None:
    """Write the identity of the base into a checkpoint, where there is one.

    Raises:
        WriteError: the disk is full.
    """
    if identity := base_identity(model):
        write_json(checkpoint / _FILE, {"sha256": identity})


def check_base(model: nn.Module, checkpoint: Path) -> None:
    """Refuse to continue an adapter on another base than it was trained on. A checkpoint without a hash of its base is
    accepted.

    Raises:
        InputError: another base.
    """
    file = checkpoint / _FILE
    if not file.is_file() or not (identity := base_identity(model)):
        return
    if json.loads(file.read_text(encoding="utf-8")).get("sha256") != identity:
        raise InputError(
            f"--resume: {checkpoint} holds an adapter that was trained on another base model, or on this one in "
            "another type; give the base that the run began with, or start again in another --output"
        )


def _sum_of_bits(weight: Tensor) -> int:
    return int(weight.contiguous().view(_WHOLE_NUMBERS[weight.element_size()]).sum(dtype=torch.int64))
