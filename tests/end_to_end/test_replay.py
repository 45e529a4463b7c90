"""`ngdiff verify --replay`: a run, repeated from its record, has the same bits; what was changed is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ngdiff.evidence.seal import sealed
from ngdiff.exit_codes import BAD_INPUT, DONE, NOT_AS_WRITTEN, REPLAY_DIFFERS
from ngdiff.hashes import sha256_file
from ngdiff.writing import json_text

from .runs import Material, run, succeeded, write_rows

STEPS = ("--max-steps=2", "--learning-rate=1e-2", "--per-device-train-batch-size=2")
# peft asks transformers for a name that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def inputs(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of model and sets."""
    folder = tmp_path_factory.mktemp("replay")
    shutil.copytree(material.model, folder / "model")
    for path in (material.forget, material.retain):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def ran(material: Material, inputs: Path) -> Path:
    """A run whose inputs were named as seen from their folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inputs)
        sets = {"model": "model", "forget": "forget.jsonl", "retain": "retain.jsonl"}
        bounds = "--require=retain.loss<=0"  # not met: the repetition ends like the run, and is compared
        assert run(*material.words(Path("out"), *STEPS, bounds, **sets)).status == 5
    return inputs / "out"


def reseal(folder: Path, change: Callable[[dict[str, Any]], object], **options: Any) -> None:
    """What someone does who changes a record on purpose."""
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **options}))
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    weights = sha256_file(folder / "model.safetensors")
    manifest |= {"config_sha256": sha256_file(config)}
    manifest["outputs"] |= {"model.safetensors": weights}
    (folder / "manifest.json").write_text(json_text(sealed(manifest)))


def test_a_repeated_run_has_the_same_bits(ran: Path, tmp_path: Path) -> None:
    outcome = succeeded(run("verify", ran, "--replay", tmp_path / "again", "--json", tmp_path / "v.json"))
    assert "files of the model have the same bits.\n" in outcome.out
    rows = {row["what"]: row for row in json.loads((tmp_path / "v.json").read_text())}
    assert rows["replay: model.safetensors"]["note"] == "same bits"
    assert run("verify", ran, "--replay", tmp_path / "again").error.startswith(f"--replay {tmp_path / 'again'} is not")


def test_a_changed_option_is_found(ran: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    forged = copy_of(ran)
    (forged / "config.yaml").write_text((forged / "config.yaml").read_text() + "\n")
    outcome = run("verify", forged, "--replay", tmp_path / "again")
    assert (outcome.status, (tmp_path / "again").exists()) == (NOT_AS_WRITTEN, False)
    reseal(forged, lambda manifest: None, learning_rate=2e-2)
    outcome = run("verify", forged, "--replay", tmp_path / "again")
    assert outcome.status == REPLAY_DIFFERS
    assert "wrote another model: 1 of " in outcome.error
    assert "model.safetensors differs: expected SHA-256 " in outcome.error
    assert "largest absolute difference of a weight " in outcome.error


def test_on_another_machine_a_difference_is_no_fault(
    ran: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    forged = copy_of(ran)
    weights = load_file(forged / "model.safetensors")
    first = next(iter(weights))
    weights[first] = weights[first] + torch.full_like(weights[first], 0.25)
    save_file(weights, forged / "model.safetensors", metadata={"format": "pt"})
    reseal(forged, lambda manifest: manifest["versions"].update(torch="1.0"))
    outcome = run("verify", forged, "--replay", tmp_path / "again")
    assert outcome.status == DONE, outcome.err
    assert "not as in the recorded run: torch: 1.0 then, " in outcome.out
    assert "not comparable bit for bit here: " in outcome.out
    assert "largest absolute difference of a weight 0.25" in outcome.out


def test_an_input_that_is_gone_is_refused_before_any_work(ran: Path, inputs: Path, tmp_path: Path) -> None:
    kept = inputs / "forget.jsonl"
    kept.rename(tmp_path / "moved")
    outcome = run("verify", ran, "--replay", tmp_path / "again")
    (tmp_path / "moved").rename(kept)
    assert outcome.status == NOT_AS_WRITTEN
    assert outcome.error.startswith("--replay: rows: forget forget.jsonl is no longer where it was")
    text = kept.read_text()
    kept.write_text(text + "\n")
    outcome = run("verify", ran, "--replay", tmp_path / "again")
    kept.write_text(text)
    assert outcome.status == NOT_AS_WRITTEN
    assert "forget.jsonl is changed" in outcome.error
    assert not (tmp_path / "again").exists()


def test_what_cannot_be_repeated(ran: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    outcome = run("verify", ran, "--replay", ran / "again")
    assert (outcome.status, outcome.error) == (
        BAD_INPUT,
        f"--replay {ran / 'again'} lies in {ran}; choose a folder elsewhere",
    )
    other = copy_of(ran)
    reseal(other, lambda manifest: manifest.update(command=["ngdiff", "evaluate"]))
    outcome = run("verify", other, "--replay", tmp_path / "again")
    assert (outcome.status, outcome.error) == (
        BAD_INPUT,
        f"--replay repeats runs of unlearn and finetune; {other} was written by evaluate",
    )


@pytest.mark.slow
def test_finetuning_and_adapters_are_repeated_too(material: Material, tmp_path: Path) -> None:
    assert "have the same bits" in succeeded(run("verify", material.model, "--replay", tmp_path / "model")).out
    one, two, three = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    second = write_rows(tmp_path / "second.jsonl", [{"question": "Who is Orla?", "answer": "A smith."}] * 3)
    succeeded(run(*material.words(one, *STEPS, lora_rank=2)))
    succeeded(run(*material.words(two, *STEPS, "--merge-adapter", model=one, lora_rank=2)))
    succeeded(run(*material.words(three, *STEPS, model=None, after=one, forget=second)))
    for folder in (one, two, three):
        outcome = succeeded(run("verify", folder, "--replay", tmp_path / f"{folder.name} again"))
        number = len([line for line in outcome.out.splitlines() if line.startswith("replay: ")])
        assert f"{number} of {number} files of the model have the same bits.\n" in outcome.out
