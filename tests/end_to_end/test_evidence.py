"""Runs leave evidence of all that they read and wrote; `ngdiff verify` agrees with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import read_rows
from ngdiff.evidence.inputs import inputs_of
from ngdiff.evidence.verify import verify
from ngdiff.training import UnlearnConfig, UnlearnTrainer, save_with_evidence

from .runs import Material, run, succeeded

STEPS = ("--max-steps=2", "--learning-rate=1e-2", "--per-device-train-batch-size=2")
# peft asks transformers for a name that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def first(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that taught answers of a file, on a model that is compared with another."""
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "idk.txt").write_text("No idea.\n")
    more = ("--forget-objective=idk", f"--idk-file={folder / 'idk.txt'}", "--save-strategy=steps", "--save-steps=1")
    succeeded(run(*material.words(folder / "adapter", *STEPS, *more, lora_rank=2)))
    return folder / "adapter"


def test_a_run_is_as_it_wrote_and_read_it(material: Material, first: Path) -> None:
    checks = verify(first)
    assert [fault for check in checks for fault in check.faults] == []
    assert [check.note for check in checks] == [""] * len(checks)
    roles = {one.role for one in inputs_of(manifest_of(first))}
    assert roles == {"model", "rows: forget", "rows: retain", "--idk-file"}
    assert {"checkpoint-1", "checkpoint-2"} <= {check.what for check in checks}
    manifest = manifest_of(first)
    assert manifest["template_text"] == "Question: {question}\nAnswer: {answer}"
    assert manifest["utc_begun"] <= manifest["utc"]
    assert manifest["data"]["forget"]["place"] == str(material.forget)


def test_a_merged_base_belongs_to_the_output(material: Material, first: Path, tmp_path: Path) -> None:
    succeeded(run(*material.words(tmp_path / "out", *STEPS, "--merge-adapter", model=first, lora_rank=2)))
    manifest = manifest_of(tmp_path / "out")
    assert "merged_base/model.safetensors" in manifest["outputs"]
    assert "its base model" in {one.role for one in inputs_of(manifest)}
    assert succeeded(run("verify", tmp_path / "out")).out.endswith("files are as they were written and read.\n")
    weights = tmp_path / "out" / "merged_base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x99")
    assert run("verify", tmp_path / "out").status == 4


def test_from_python(material: Material, tmp_path: Path) -> None:
    config = UnlearnConfig(output_dir=str(tmp_path / "run"), max_steps=1, learning_rate=1e-2, save_strategy="no")
    rows = {role: read_rows(str(getattr(material, role)), role=role) for role in ("forget", "retain")}
    trainer = UnlearnTrainer(str(material.model), config, rows["forget"], rows["retain"])
    with pytest.raises(ValueError, match="has not trained"):
        save_with_evidence(trainer, tmp_path / "out")
    trainer.train()
    with pytest.raises(ValueError, match="train is no role"):
        save_with_evidence(trainer, tmp_path / "out", sources={"train": material.forget})
    sources = {"model": material.model, "forget": material.forget}
    save_with_evidence(trainer, tmp_path / "out", sources=sources)
    assert [fault for check in verify(tmp_path / "out") for fault in check.faults] == []
    manifest = manifest_of(tmp_path / "out")
    assert manifest["extra"]["losses_after"].keys() >= {"forget", "retain"}
    assert manifest["data"]["retain"]["rows"] == len(rows["retain"])
    assert {"model.safetensors", "tokenizer.json", "training_log.json"} <= manifest["outputs"].keys()
