"""Every model is written with its card, which is among the files that `verify` hashes; its code loads the model."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from ngdiff.data import read_rows

from .runs import Material, run, succeeded


@pytest.fixture(scope="module")
def outputs(material: Material, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cards")
    whole, adapter = folder / "whole", folder / "adapter"
    succeeded(run(*material.words(whole, max_steps=2)))
    succeeded(run(*material.words(adapter, max_steps=1, lora_rank=2)))
    return {"whole": whole, "adapter": adapter, "fine-tuned": material.model}


def code_of(folder: Path) -> str:
    found = re.search(r"```python\n(.*?)\n```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1].replace('"MODEL"', repr(str(folder)))


@pytest.mark.parametrize("name", ["whole", "adapter", "fine-tuned"])
def test_a_model_has_its_card(outputs: dict[str, Path], material: Material, name: str) -> None:
    folder = outputs[name]
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == ("peft" if name == "adapter" else "transformers")
    extra = json.loads((folder / "manifest.json").read_text())["extra"]
    assert re.search(rf"\b{extra['steps']} steps? (was|were) taken", card.text)
    assert str(folder.parent) not in str(card)
    for row in read_rows(str(material.data / "full.jsonl"), role="full"):
        assert row.prompt not in card.text
        assert row.answer not in card.text


@pytest.mark.parametrize("name", ["whole", "adapter"])
def test_the_code_of_the_card_loads_the_model(outputs: dict[str, Path], name: str, capsys) -> None:
    exec(compile(code_of(outputs[name]), "README.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\n")


def test_verify_covers_the_card(outputs: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(outputs["whole"], tmp_path / "copy")
    succeeded(run("verify", copy))
    with (copy / "README.md").open("a") as file:
        file.write("More.\n")
    assert "README.md is changed" in run("verify", copy).err
