"""Two processes and one with the double batch walk the same way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")


def run(tmp_path, name: str, processes: int, **options) -> dict:
    """Weights and logs of a run of `worker.py`."""
    output = tmp_path / f"{name}.pt"
    options = {"output_dir": str(tmp_path / name), "save_strategy": "no", "num_train_epochs": 3, **options}
    words = [sys.executable]
    if processes > 1:
        words += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, str(WORKER), str(output), json.dumps(options)], env=environment, capture_output=True, text=True
    )
    assert output.exists(), done.stderr[-3000:]
    return torch.load(output, weights_only=True)


# AdamW divides by the square root of tiny second moments, which magnifies rounding.
@pytest.mark.parametrize(
    ("optim", "learning_rate", "tolerance"), [("sgd", "1e-2", 1e-6), ("adamw_torch", "auto", 1e-4)]
)
def test_two_processes_equal_one_with_the_double_batch(tmp_path, optim, learning_rate, tolerance):
    options = {
        "optim": optim,
        "learning_rate": learning_rate,
        "autolr_interval": 2,
        "gradient_accumulation_steps": 2,
    }
    one = run(tmp_path, "one", 1, per_device_train_batch_size=4, **options)
    two = run(tmp_path, "two", 2, per_device_train_batch_size=2, **options)
    for a, b in zip(one["logs"], two["logs"], strict=True):
        for key in ("loss_forget", "loss_retain", "norm_forget", "norm_retain", "cosine", "learning_rate"):
            assert a[key] == pytest.approx(b[key], rel=1e-3, abs=1e-5), (a["step"], key)
    for name, weight in one["weights"].items():
        torch.testing.assert_close(weight, two["weights"][name], rtol=0, atol=tolerance)
