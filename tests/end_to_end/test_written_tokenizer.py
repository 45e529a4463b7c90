"""The tokenizer beside a written model is the one that was read."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from .runs import Material, run, succeeded

FILES = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def padless(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a tokenizer that has no pad token, as transformers itself writes it."""
    folder = tmp_path_factory.mktemp("padless") / "model"
    shutil.copytree(material.model, folder, ignore=shutil.ignore_patterns("checkpoints", "report", "private"))
    for name in ("manifest.json", "config.yaml"):
        (folder / name).unlink()
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}))
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder


def tokenizer_in(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_tokenizer_without_a_pad_token_stays_so(material: Material, padless: Path, tmp_path: Path) -> None:
    train = ["--train", material.retain, "--max-steps", 1, "--output", tmp_path / "f"]
    succeeded(run("finetune", "--model", padless, *train))
    succeeded(run(*material.words(tmp_path / "u", "--lora-rank", 2, model=padless, max_steps=1)))
    succeeded(run("merge", tmp_path / "u", "--output", tmp_path / "m"))
    again = material.words(tmp_path / "b", "--lora-rank", 2, "--merge-adapter", model=tmp_path / "u", max_steps=1)
    succeeded(run(*again))
    for name in ("f", "u", "m", "b", "b/merged_base"):
        assert tokenizer_in(tmp_path / name) == tokenizer_in(padless), name
    succeeded(run("evaluate", "--model", tmp_path / "m", "--forget", material.forget, "--retain", material.retain))
