"""A tiny output with everything that a run can write and read. No model is made: bytes will do."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.checksums import write_checksums
from ngdiff.data import read_rows
from ngdiff.manifest import describe_data, describe_model, write_manifest


@dataclass(frozen=True)
class Made:
    """Folders of a run.

    Attributes:
        output: What it wrote.
        inputs: What it read.
    """

    output: Path
    inputs: Path

    def files(self) -> list[Path]:
        """All files that are hashed."""
        return sorted(path for folder in (self.output, self.inputs) for path in folder.rglob("*") if path.is_file())


def write_run(root: Path, name: str = "run", *, forget: str = "forget.jsonl", **more: Any) -> Made:
    """A run in `root/NAME` that read `root/inputs`; `more` is for its manifest."""
    made = Made(root / name, root / "inputs")
    _write_inputs(made.inputs)
    rows = {role: made.inputs / f"{role}.jsonl" for role in ("retain",)} | {"forget": made.inputs / forget}
    model = describe_model(made.inputs / "model")
    model["base"] = describe_model(made.inputs / "base")
    model["base_model"] = describe_model(made.inputs / "other base")
    module, answers = made.inputs / "mine.py", made.inputs / "idk.txt"
    sha = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (module, answers)}
    written = {
        "adapter_model.safetensors": "adapter",
        "adapter_config.json": "{}",
        "tokenizer.json": "{ }",
        "report/training_log.json": '{"steps": []}',
        "report/curves.png": "png",
        "merged_base/model.safetensors": "merged",
        "private/records_forget.jsonl": "{}\n",
    }
    checkpoint = {"optimizer.pt": "state", "model.safetensors": "m"}
    of_checkpoint = {checkpoint_folder("", 3) / name: text for name, text in checkpoint.items()}
    for file, text in {**written, **of_checkpoint}.items():
        path = made.output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_checksums(checkpoint_folder(made.output, 3))
    described: dict[str, Any] = {
        "command": ["ngdiff", "unlearn"],
        "config": {"seed": 3},
        "data": {role: describe_data(path, read_rows(str(path), role=role)) for role, path in rows.items()},
        "model": model,
        "template": "plain",
        "seed": 3,
        "extra": {"finished": True},
        "own": {
            "weighting": {"source": "mine:w", "files": {"mine": sha[module]}, "places": {"mine": str(module)}},
            "idk-file": {"source": "idk.txt", "sha256": "0", "place": str(answers), "file_sha256": sha[answers]},
        },
        "outputs": list(written),
    }
    write_manifest(made.output, **{**described, **more})
    return made


def _write_inputs(folder: Path) -> None:
    for name in ("model", "base", "other base"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(f'{{"name": "{name}"}}')
        (folder / name / "model.safetensors").write_text(f"weights of {name}")
    for number, name in enumerate(("forget", "second", "retain")):
        rows = [{"question": f"{name} {i}?", "answer": f"{number} {i}."} for i in range(3)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "mine.py").write_text("def w(): ...\n")
    (folder / "idk.txt").write_text("I do not know.\n")
