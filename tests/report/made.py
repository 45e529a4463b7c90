"""Folders of runs and evaluations, made up: what the commands would write, without a model."""

import json
from pathlib import Path
from typing import Any

from ngdiff.manifest import write_manifest

WEIGHTS = "model.safetensors"
ROWS = {"forget": "f" * 64, "retain": "e" * 64}


def data(**hashes: str) -> dict[str, dict[str, Any]]:
    return {
        role: {"source": f"data/{role}.jsonl", "files": {f"{role}.jsonl": "a" * 64}, "rows": 4, "rows_sha256": digest}
        for role, digest in {**ROWS, **hashes}.items()
    }


def make_run(folder: Path, weights: str = "weights", **changes: Any) -> Path:
    """What `ngdiff unlearn` leaves, with a log of twelve steps."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_text(weights)
    (folder / "config.json").write_text("{}")
    write_log(folder)
    command = changes.pop("command", ["ngdiff", "unlearn", "--model", "target"])
    extra = {
        "finished": True,
        "method": {"weighting": "ngdiff", "forget": "ce", "retain": "ce"},
        "rows_per_step": 4,
        **changes.pop("extra", {}),
    }
    options = {
        "method": "ngdiff",
        "learning_rate": "auto",
        "num_train_epochs": 15.0,
        "lora_rank": 0,
        "output": str(folder),
        **changes.pop("config", {}),
    }
    given: dict[str, Any] = {
        "command": command,
        "config": options,
        "data": data(),
        "model": {"source": "target", "files": {WEIGHTS: "b" * 64}},
        "template": "plain",
        "seed": 42,
        "extra": extra,
        "outputs": [WEIGHTS, "config.json", "report/training_log.json"],
    }
    write_manifest(folder, **{**given, **changes})
    return folder


def write_log(folder: Path, steps: int = 12, scale: float = 1.0) -> None:
    """A log as a run leaves it, with a probe of the learning rate at its first step."""
    rows = [
        {
            "step": step,
            "loss_forget": 0.1 * scale * step,
            "loss_retain": 0.02,
            "norm_forget": scale + step,
            "norm_retain": 0.5 * scale,
            "learning_rate": 1e-3 * scale,
        }
        for step in range(1, steps + 1)
    ]
    fit = {"rho": 1e-3, "behind": 2.25, "here": 1.0, "ahead": 0.5}
    probe = {"step": 1, "before": 1e-4, "after": 1.2e-3 * scale, "accepted": True, "fits": [fit]}
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "training_log.json").write_text(json.dumps({"steps": rows, "probes": [probe]}))


def make_sweep(folder: Path, methods: tuple[str, ...] = ("ngdiff", "npo", "gd"), seeds: int = 3) -> Path:
    """What `ngdiff sweep` leaves: methods over seeds, the model before and a retrained one for each seed."""
    from ngdiff.metrics import score

    folder.mkdir(parents=True)
    runs: dict[str, Any] = {}
    for place, method in enumerate(methods):
        for seed in range(seeds):
            name = f"method={method},seed={seed}"
            run = make_run(folder / name / "model", config={"method": method}, seed=seed)
            write_log(run, scale=1 + place + 0.1 * seed)
            sets = {
                "forget": [record(i, 0.25 * (place % 3), 2.0 + 0.1 * i + 0.3 * seed) for i in range(4)],
                "retain": [record(i, 1.0 - 0.25 * (place % 4 + seed % 2) / 2, 0.2) for i in range(4)],
            }
            own = {"value": 0.1 + 0.08 * place + 0.02 * seed, "noise": 0.1, "parts": {}, "left_out": {}}
            metrics = {**score(sets, confidence=0.95), "distance": own}
            runs[name] = {"values": {"method": method, "seed": seed}, "role": "run", "metrics": metrics}
    for seed in range(seeds):
        for role, recall, loss in (("before", 1.0, 0.1), ("retrained", 0.25, 3.0)):
            sets = {name: [record(i, recall, loss) for i in range(4)] for name in ("forget", "retain")}
            runs[f"{role},seed={seed}"] = {"values": {}, "role": role, "metrics": score(sets, confidence=0.95)}
    (folder / "sweep.json").write_text(json.dumps({"runs": runs, "jobs": {}}))
    return folder


def record(index: int, recall: float, loss: float, **more: Any) -> dict[str, Any]:
    words = [f"word{index}{letter}" for letter in "abcd"]
    said = words[: round(4 * recall)]
    return {
        "index": index,
        "origin": f"data/forget.jsonl, line {index + 1}",
        "prompt": f"Question {index}?",
        "reference": " ".join(words),
        "generated": " ".join(said),
        "nll_sum": 5 * loss,
        "n_tokens": 5,
        "token_hit": [1] * round(4 * recall) + [0] * (5 - round(4 * recall)),
        "n_end": 1,
        **more,
    }


def make_evaluation(
    folder: Path,
    run: Path | None = None,
    *,
    recall: float = 0.25,
    loss: float = 3.0,
    holdout: bool = False,
    records: bool = True,
    change: Any = None,
    **changes: Any,
) -> Path:
    """What `ngdiff evaluate` leaves: of the model of `run`, whose rows are recited by about `recall`.

    Args:
        change: Applied to the records of the forget set.
    """
    from ngdiff.hashes import sha256_file
    from ngdiff.metrics import score

    sets = {
        "forget": [record(i, recall if i else min(1.0, 4 * recall), loss + 0.1 * i) for i in range(4)],
        "retain": [record(i, 1.0, 0.1 + 0.01 * i) for i in range(4)],
    }
    if holdout:
        sets["holdout"] = [record(i + 9, 0.25, 3.0 + 0.2 * i) for i in range(4)]
    if change is not None:
        change(sets["forget"])
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(score(sets, confidence=0.95)))
    if records:
        (folder / "private").mkdir()
        for name, own in sets.items():
            lines = "".join(json.dumps({"set": name, **one}) + "\n" for one in own)
            (folder / "private" / f"records_{name}.jsonl").write_text(lines)
    files = {} if run is None else {name: sha256_file(run / name) for name in (WEIGHTS, "config.json")}
    given: dict[str, Any] = {
        "command": ["ngdiff", "evaluate", "--model", str(run)],
        "config": {"model": str(run)},
        "data": data(),
        "model": {"source": "target" if run is None else str(run), "files": files},
        "template": "plain",
        "seed": 0,
        "extra": {"finished": True},
        "outputs": ["metrics.json"],
    }
    write_manifest(folder, **{**given, **changes})
    return folder


def make_audit(folder: Path, run: Path, *, reference: str | None = "retrained", **changes: Any) -> Path:
    """What `ngdiff audit` leaves of the model of `run`: quantising brings rows back, pruning does not."""
    from ngdiff.hashes import sha256_file

    attacks: dict[str, Any] = {}
    for name, form, value, certain in (("quantise", "4 bit", 0.25, True), ("prune", "30 %", 0.0, False)):
        own: dict[str, Any] = {"forms": {form: {"n": 4, "model": {"verbmem": 0.25 + value, "loss": 2.0}}}}
        if reference is not None:
            own["forms"][form]["reference"] = {"verbmem": 0.25, "loss": 2.0}
            worst = {"form": form, "measure": "verbmem", "value": value, "interval": [-0.1, 0.4]}
            own |= {"comes_back": value, "worst": worst, "chance": 0.01 if certain else 0.6, "certain": certain}
        attacks[name] = own
    robustness = None if reference is None else 0.857
    content = {"reference": reference, "robustness": robustness, "attacks": attacks}
    content |= {"not_run": {"relearn": "not asked for (--attacks)"}}
    folder.mkdir(parents=True)
    (folder / "audit.json").write_text(json.dumps({**content, **changes.pop("content", {})}))
    given: dict[str, Any] = {
        "command": ["ngdiff", "audit", str(run)],
        "config": {},
        "data": data(),
        "model": {"source": str(run), "files": {WEIGHTS: sha256_file(run / WEIGHTS)}},
        "template": "plain",
        "seed": 0,
        "extra": {"finished": True},
        "outputs": ["audit.json"],
    }
    write_manifest(folder, **{**given, **changes})
    return folder
