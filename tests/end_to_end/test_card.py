"""Every model is written with its card, which is among the files that `verify` hashes; its code loads the model."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from peft import LoraConfig

from ngdiff.data import read_rows
from ngdiff.training import UnlearnConfig, UnlearnTrainer, save_with_evidence

from .runs import Material, run, succeeded


def from_python(folder: Path, material: Material, model: Path, **more: object) -> Path:
    """A run of the trainer, with all the evidence there is."""
    sets = [str(material.forget), str(material.retain)]
    config = UnlearnConfig(output_dir=str(folder.parent / "run"), max_steps=1, save_strategy="no", report_to=[])
    trainer = UnlearnTrainer(str(model), config, *sets, **more)  # type: ignore[arg-type]
    trainer.train()
    save_with_evidence(trainer, folder, sources={"model": model, "forget": material.forget, "retain": material.retain})
    return folder


@pytest.fixture(scope="module")
def outputs(material: Material, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cards")
    whole, adapter = folder / "whole", folder / "adapter"
    succeeded(run(*material.words(whole, max_steps=2)))
    succeeded(run(*material.words(adapter, max_steps=1, lora_rank=2)))
    made = from_python(folder / "from-python", material, material.model)
    rank = {"peft_config": LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")}
    small = from_python(folder / "adapter-from-python", material, material.model, **rank)
    return {
        "whole": whole,
        "adapter": adapter,
        "fine-tuned": material.model,
        "from Python": made,
        "adapter from Python": small,
    }


def code_of(folder: Path) -> str:
    found = re.search(r"```python\n(.*?)\n```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1].replace('"MODEL"', repr(str(folder)))


@pytest.mark.parametrize("name", ["whole", "adapter", "fine-tuned", "from Python", "adapter from Python"])
def test_a_model_has_its_card(outputs: dict[str, Path], material: Material, name: str) -> None:
    folder = outputs[name]
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == ("peft" if "adapter" in name else "transformers")
    extra = json.loads((folder / "manifest.json").read_text())["extra"]
    assert re.search(rf"\b{extra['steps']} steps? (was|were) taken", card.text)
    assert str(folder.parent) not in str(card)
    for row in read_rows(str(material.data / "full.jsonl"), role="full"):
        assert row.prompt not in card.text
        assert row.answer not in card.text


@pytest.mark.parametrize("name", ["whole", "adapter", "from Python", "adapter from Python"])
def test_the_code_of_the_card_loads_the_model(outputs: dict[str, Path], name: str, capsys) -> None:
    exec(compile(code_of(outputs[name]), "README.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\n")


def test_verify_covers_the_card(outputs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(outputs["whole"], tmp_path / "copy")
    succeeded(run("verify", copy))
    with (copy / "README.md").open("a") as file:
        file.write("More.\n")
    assert "README.md is changed" in run("verify", copy).err


def test_a_run_from_python_says_on_its_card_what_the_command_says(outputs: dict[str, Path]) -> None:
    card, own = (ModelCard.load(outputs[name] / "README.md") for name in ("whole", "from Python"))
    for text in ("weighed by ngdiff", "found from the loss", "- weighting: ", "Question: {question}"):
        assert text in card.text
        assert text in own.text
    assert "An adapter (LoRA) of rank 2 was trained" in (outputs["adapter from Python"] / "README.md").read_text()
    assert own.data.tags == card.data.tags
    for name in ("from Python", "adapter from Python"):
        succeeded(run("verify", outputs[name]))


def test_an_adapter_of_python_can_be_merged_and_keeps_its_card(outputs: dict[str, Path], tmp_path: Path) -> None:
    succeeded(run("merge", outputs["adapter from Python"], "--output", tmp_path / "merged"))
    assert "were forgotten, the rest kept" in (tmp_path / "merged" / "README.md").read_text()


def test_rows_that_came_encoded_have_no_template(material: Material, tmp_path: Path) -> None:
    rows = [{"input_ids": [5, 6, 7 + n], "labels": [-100, 6, 7 + n]} for n in range(8)]
    config = UnlearnConfig(output_dir=str(tmp_path / "run"), max_steps=1, save_strategy="no", report_to=[])
    trainer = UnlearnTrainer(str(material.model), config, rows[:4], rows[4:])
    trainer.train()
    save_with_evidence(trainer, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.pipeline_tag == "text-generation"
    assert "The rows came encoded" in card.text
    assert "AutoModelForCausalLM" in card.text
