"""Starts `worker.py` in one process or in two, and compares what came out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")


def launcher(processes: int) -> list[str]:
    """The beginning of a command that runs in so many processes."""
    if processes == 1:
        return [sys.executable]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


def launch(folder: Path, processes: int, cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Run all cases in one start of so many processes; what each of them wrote, by name."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher(processes), str(WORKER), str(folder), json.dumps(cases)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    results = {}
    for name in cases:
        assert (folder / f"{name}.pt").exists(), f"{name}:\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
        results[name] = torch.load(folder / f"{name}.pt", weights_only=True)
        assert results[name]["processes"] == processes  # and not twice the same run, side by side
    return results


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of any weight."""
    assert one["weights"].keys() == other["weights"].keys()
    return max(float((one["weights"][k] - other["weights"][k]).abs().max()) for k in one["weights"])


def beyond_rounding(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Largest difference of any weight beyond one rounding of that weight.

    Weights near 1, those of norms, have neighbours 1e-7 away: more than the sums of two processes differ by. Which of
    the two neighbours a sum is rounded to depends on the processor.
    """
    assert one["weights"].keys() == other["weights"].keys()
    pairs = [(one["weights"][k], other["weights"][k]) for k in one["weights"]]
    return max(float(((a - b).abs() - torch.finfo(a.dtype).eps * a.abs()).max()) for a, b in pairs)


def moved(result: dict[str, Any], start: dict[str, torch.Tensor]) -> float:
    """Largest change of any weight since `start`."""
    return max(float((result["weights"][k] - start[k].detach()).abs().max()) for k in start)


def assert_same_figures(one: dict[str, Any], other: dict[str, Any], rel: float = 1e-3) -> None:
    """Both logged the same losses, norms, cosines, weights, chosen entries and rates in every step."""
    assert len(one["logs"]) == len(other["logs"])
    assert one["initial"] == pytest.approx(other["initial"], rel=1e-6)
    for a, b in zip(one["logs"], other["logs"], strict=True):
        keys = ["loss_forget", "loss_retain", "norm_forget", "norm_retain", "learning_rate"]
        # Not with one buffer, nor where a gradient is noise (that of KL before the first step).
        if "cosine" in a and a["weight_retain"] and b["weight_retain"]:
            keys += ["cosine", "weight_retain", *(key for key in a if key.startswith("entries_"))]
        for key in keys:
            assert a[key] == pytest.approx(b[key], rel=rel, abs=1e-5), (a["step"], key)
