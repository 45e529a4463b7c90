"""The published logs of TOFU and MUSE runs, as records."""

import json
import os
from pathlib import Path
from typing import Any

import pytest


def _likelihood(nll_sum: float, n_tokens: int) -> dict[str, Any]:
    return {"nll_sum": nll_sum, "n_tokens": n_tokens}


def as_records(name: str, inputs: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [
        {
            "set": name,
            "index": i,
            "origin": f"{name}, row {i}",
            "prompt": "",
            "reference": inputs["reference"][i],
            "generated": inputs["generated"][i],
            **_likelihood(inputs["gt_loss_sum"][i], inputs["gt_num_tokens"][i]),
            "paraphrased": _likelihood(inputs["paraphrased_loss_sum"][i], inputs["paraphrased_num_tokens"][i]),
            "perturbed": [
                _likelihood(*pair)
                for pair in zip(inputs["perturbed_loss_sum"][i], inputs["perturbed_num_tokens"][i], strict=True)
            ],
        }
        for i in range(len(inputs["reference"]))
    ]


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    if "NGDIFF_DATA" not in os.environ:
        pytest.skip("NGDIFF_DATA is not set: the published logs are not here")
    return Path(os.environ["NGDIFF_DATA"]) / "goldens"


@pytest.fixture(scope="session")
def golden_runs(golden_folder: Path) -> dict[str, dict[str, Any]]:
    """Run name -> the log's `tasks` and `expected`, and `records` per task."""
    runs = {}
    for path in sorted(golden_folder.glob("tofu_*.json")):
        log = json.loads(path.read_text(encoding="utf-8"))
        if "tasks" in log:
            records = {name: as_records(name, task["inputs"]) for name, task in log["tasks"].items()}
            runs[path.stem] = {**log, "records": records}
    assert runs, f"{golden_folder} holds no tofu_*.json log with tasks"
    return runs


# MUSE's name of a task -> ours of its set.
MUSE_SETS = {"verbmem_f": "muse_verbmem", "knowmem_f": "muse_knowmem_forget", "knowmem_r": "muse_knowmem_retain"}


@pytest.fixture(scope="session")
def muse_runs(golden_folder: Path) -> dict[str, dict[str, Any]]:
    """Run name -> the log, and `records` per set of generated texts."""
    runs = {}
    for path in sorted(golden_folder.glob("muse_*.json")):
        log = json.loads(path.read_text(encoding="utf-8"))
        log["records"] = {
            name: [
                {"set": name, "index": i, "reference": reference, "generated": generated}
                for i, (reference, generated) in enumerate(
                    zip(log[task]["inputs"]["reference"], log[task]["inputs"]["generated"], strict=True)
                )
            ]
            for task, name in MUSE_SETS.items()
        }
        runs[path.stem] = log
    assert runs, f"{golden_folder} holds no muse_*.json log"
    return runs
