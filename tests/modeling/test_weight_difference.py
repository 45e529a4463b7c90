"""The largest difference of the weights of two files."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ngdiff.modeling.weight_difference import largest_difference

ONE = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([0.0, math.inf, math.nan]), "c": torch.zeros(0)}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0.0),
        ({"a": torch.tensor([[1.25, 1.5]])}, 0.5),
        ({"a": ONE["a"].bfloat16()}, 0.0),
        ({"a": torch.tensor([1.0, 2.0])}, math.inf),
        ({"b": torch.tensor([0.0, math.inf, 1.0])}, math.inf),
        ({"b": torch.tensor([0.0, -math.inf, math.nan])}, math.inf),
        ({"d": torch.ones(1)}, math.inf),
    ],
)
def test_largest_difference(tmp_path: Path, change: dict[str, torch.Tensor], expected: float) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_file(ONE, one)
    save_file({**ONE, **change}, other)
    assert largest_difference(one, other) == largest_difference(other, one) == expected


def test_what_is_no_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match="is no safetensors file"):
        largest_difference(tmp_path / "x.safetensors", tmp_path / "x.safetensors")
