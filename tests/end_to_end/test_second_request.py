"""A second request to forget, on the result of a first one that trained an adapter."""

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from safetensors.torch import load_file, save_file

from ngdiff.modeling import load_model

from .runs import Material, everything_in, log_of, rows_of, run, succeeded, weights_of, write_rows

STEPS = (
    "--max-steps=3",
    "--learning-rate=1e-2",
    "--per-device-train-batch-size=2",
    "--save-strategy=steps",
    "--save-steps=1",
)
# peft asks transformers for a name that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def first(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `unlearn --lora-rank` leaves of a first request."""
    folder = tmp_path_factory.mktemp("first") / "adapter"
    succeeded(run(*material.words(folder, *STEPS, lora_rank=2)))
    return folder


@pytest.fixture(scope="module")
def sets(material: Material, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The second request: other rows to forget, and those that are left to keep."""
    folder = tmp_path_factory.mktemp("sets")
    rows = rows_of(material.retain)
    return {"forget": write_rows(folder / "f.jsonl", rows[:4]), "retain": write_rows(folder / "r.jsonl", rows[4:])}


@functools.cache
def loss(model: Path, rows: Path) -> float:
    """Of an evaluation of the model that was written; no test changes one afterwards."""
    output = model.with_name(f"{model.name}-evaluated-{rows.stem}")
    words = ("--forget", rows, "--output", output, "--max-new-tokens", 2)
    succeeded(run("evaluate", "--model", model, *words))
    return float(json.loads((output / "metrics.json").read_text())["forget"]["loss"])


def losses_of(folder: Path) -> dict[str, dict[str, float]]:
    extra: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["extra"]
    return {"before": extra["losses_before"], "after": extra["losses_after"]}


@pytest.mark.parametrize(
    "more", [(), ("--merge-adapter", "--lora-rank=3"), ("--merge-adapter",)], ids=["go on", "merge, adapt", "merge"]
)
def test_the_first_request_stays_forgotten(
    tmp_path: Path, material: Material, first: Path, sets: dict[str, Path], more: tuple[str, ...]
) -> None:
    before = everything_in(first)
    output = tmp_path / "second"
    succeeded(run(*material.words(output, *STEPS, *more, model=first, **sets)))
    found = losses_of(output)
    # It starts from the first result, not from that one's base.
    assert found["before"]["forget"] == pytest.approx(loss(first, sets["forget"]), rel=1e-4)
    assert found["before"]["forget"] != pytest.approx(loss(material.model, sets["forget"]), rel=1e-3)
    # What was written is what was trained, wherever it lies.
    moved = tmp_path / "elsewhere" / "second"
    moved.parent.mkdir()
    output.rename(moved)
    assert loss(moved, sets["forget"]) == pytest.approx(found["after"]["forget"], rel=1e-4)
    model = load_model(moved)
    assert isinstance(model, PeftModel) is (more != ("--merge-adapter",))
    assert (moved / "merged_base").is_dir() is ("--lora-rank=3" in more)
    assert everything_in(first) == before


def test_a_third_request_on_the_second(tmp_path: Path, material: Material, first: Path, sets: dict[str, Path]) -> None:
    merge = ("--merge-adapter", "--lora-rank=2")
    succeeded(run(*material.words(tmp_path / "second", *STEPS, *merge, model=first, **sets)))
    succeeded(run(*material.words(tmp_path / "third", *STEPS, *merge, model=tmp_path / "second", **sets)))
    found = losses_of(tmp_path / "third")
    assert found["before"]["forget"] == pytest.approx(losses_of(tmp_path / "second")["after"]["forget"], rel=1e-4)
    assert loss(tmp_path / "third", sets["forget"]) == pytest.approx(found["after"]["forget"], rel=1e-4)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("--merge-adapter", "--lora-rank=2"), id="adapt"),
        pytest.param(("--merge-adapter",), id="whole", marks=pytest.mark.slow),
    ],
)
def test_a_merged_run_resumes(
    tmp_path: Path, material: Material, first: Path, sets: dict[str, Path], more: tuple[str, ...]
) -> None:
    words = material.words(tmp_path / "one", *STEPS, *more, "--save-strategy=steps", model=first, **sets)
    succeeded(run(*words))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for later in ("checkpoints/checkpoint-3", "report/training_log.json", "manifest.json"):
        path = tmp_path / "two" / later
        shutil.rmtree(path) if path.is_dir() else None
    manifest = tmp_path / "two" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["extra"]["finished"] = False
    manifest.write_text(json.dumps(content))
    (tmp_path / "two" / "report" / "training_log.json").unlink()
    resumed = material.words(tmp_path / "two", *STEPS, *more, "--save-strategy=steps", "--resume", model=first, **sets)
    succeeded(run(*resumed))
    name = "adapter_model.safetensors" if "--lora-rank=2" in more else "model.safetensors"
    assert weights_of(tmp_path / "two", name) == weights_of(tmp_path / "one", name)
    assert len(log_of(tmp_path / "two")["steps"]) == len(log_of(tmp_path / "one")["steps"])


@pytest.mark.parametrize("command", ["unlearn", "finetune"])
def test_a_second_adapter_on_top_is_refused_with_both_ways_out(
    tmp_path: Path, material: Material, first: Path, command: str
) -> None:
    sets = ("--train", material.forget) if command == "finetune" else ("--forget", material.forget)
    sets = sets if command == "finetune" else (*sets, "--retain", material.retain)
    outcome = run(command, "--model", first, *sets, "--output", tmp_path / "out", "--lora-rank", 2)
    assert outcome.status == 2
    assert f"--model {first} is already an adapter (of {material.model})" in outcome.error
    assert "Omit --lora-rank to train that adapter further, or give --merge-adapter" in outcome.error
    assert not (tmp_path / "out").exists()
    outcome = run(command, "--model", material.model, *sets, "--output", tmp_path / "out", "--merge-adapter")
    assert outcome.status == 2
    assert outcome.error == f"--merge-adapter: {material.model} is a whole model, not an adapter; omit the option"


@pytest.mark.parametrize("more", [(), ("--merge-adapter", "--lora-rank=2"), ("--merge-adapter",)], ids=str)
def test_finetune_on_an_adapter(tmp_path: Path, material: Material, first: Path, more: tuple[str, ...]) -> None:
    output = tmp_path / "out"
    words = ("--train", material.forget, "--output", output, "--max-steps", 6, "--learning-rate", "1e-2")
    succeeded(run("finetune", "--model", first, *words, *more))
    assert loss(output, material.forget) < loss(first, material.forget)


def test_dry_run_of_a_merged_adapter(tmp_path: Path, material: Material, first: Path, sets: dict[str, Path]) -> None:
    for more in (("--merge-adapter", "--lora-rank=2"), ("--merge-adapter",), ()):
        outcome = succeeded(run(*material.words(tmp_path / "out", "--dry-run", *STEPS, *more, model=first, **sets)))
        assert "memory" in outcome.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["unlearn", "finetune", "evaluate"])
def test_another_base_under_the_same_name_is_another_model(
    tmp_path: Path, material: Material, first: Path, command: str
):
    """The adapter's own files are what they were."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(material.model, base)
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(first / name, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(base)}))
    output, options = tmp_path / "run", {"model": adapter, "max_steps": 1}
    words = {
        "unlearn": material.words(output, **options),
        "finetune": ["finetune", "--model", adapter, "--train", material.retain, "--output", output, "--max-steps", 1],
        "evaluate": ["evaluate", "--model", adapter, "--forget", material.forget, "--output", output, "--no-generate"],
    }[command]
    succeeded(run(*words))
    weights = load_file(base / "model.safetensors")
    save_file({k: v * 1.5 for k, v in weights.items()}, base / "model.safetensors", metadata={"format": "pt"})
    outcome = run(*words, "--resume")
    assert outcome.status == 2
    assert outcome.error.startswith(f"--resume: --model does not hold what it held when the run in {output} began")
