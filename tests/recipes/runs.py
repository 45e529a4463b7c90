"""Runs of a recipe, made up: numbers and logs without a model."""

import json
from pathlib import Path
from typing import Any

from ngdiff.recipes.ran import BEFORE, RETRAINED, Group, Ran

from ..report.made import write_log


def made_run(folder: Path, variant: str, verbmem: float, *, fault: str = "", **more: float) -> Ran:
    """A run with its log; `more`: further numbers, such as `utility`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_log(folder)
    log = json.loads((folder / "report" / "training_log.json").read_text())
    for row in log["steps"][::5]:
        row |= {"verbmem": verbmem, "utility": more.get("utility", 0.75)}
    (folder / "report" / "training_log.json").write_text(json.dumps(log))
    (folder / "config.json").write_text(json.dumps({"vocab_size": 100}))
    forget = {"n": 4, "rouge_l_recall": verbmem, "loss": 2.0 - verbmem, "truth_ratio": more.get("truth", 0.5)}
    retain = {"n": 8, "rouge_l_recall": more.get("utility", 0.75), "loss": 0.25}
    metrics: dict[str, Any] = {"forget": forget, "retain": retain}
    return Ran(variant, None if fault else metrics, folder, fault)


def made_group(folder: Path, *variants: str, model: str = "tiny", seeds: int = 1) -> Group:
    """Every variant with each seed, and the models before and retrained."""
    runs = [
        made_run(folder / f"{variant}-{seed}", variant, 0.5 + seed / 4)
        for variant in (BEFORE, RETRAINED, *variants)
        for seed in range(seeds)
    ]
    return Group("tofu", model, "Phi-1.5", runs)
