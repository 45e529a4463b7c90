"""A model in a GGUF file: asked, unlearned, and written as any other."""

import shutil
from pathlib import Path

import pytest
import torch

from ngdiff.errors import InputError
from ngdiff.modeling import load_model
from ngdiff.modeling.gguf_files import gguf_file

from .gguf_file import write_gguf
from .runs import Material, run, succeeded


@pytest.fixture(scope="module")
def packed(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf")
    return write_gguf(material.model, tmp_path_factory.mktemp("gguf") / "m.gguf")


def test_the_weights_are_those_of_the_model(material: Material, packed: Path) -> None:
    ids = torch.tensor([[0, 5, 9]])
    expected = load_model(material.model)(ids).logits
    for name in (packed, packed.parent, str(packed)):
        assert torch.equal(load_model(name, dtype="float32")(ids).logits, expected)


@pytest.mark.slow
def test_unlearned_and_written(material: Material, packed: Path, tmp_path: Path) -> None:
    assert succeeded(run(*material.words(tmp_path / "u", "--dry-run", model=packed))).out
    succeeded(run(*material.words(tmp_path / "u", model=packed, max_steps=1)))
    assert (tmp_path / "u" / "model.safetensors").is_file()
    assert succeeded(run("ask", tmp_path / "u", "Who?", "--versus", packed, "--max-new-tokens", 3)).out
    assert "m.gguf" in (tmp_path / "u" / "manifest.json").read_text()
    succeeded(run("verify", tmp_path / "u"))


@pytest.mark.slow
def test_an_adapter_finds_it_among_others(material: Material, packed: Path, tmp_path: Path) -> None:
    own, other = tmp_path / "a.gguf", tmp_path / "b.gguf"
    for file in (own, other):
        shutil.copy(packed, file)
    succeeded(run(*material.words(tmp_path / "u", "--lora-rank", 2, model=own, max_steps=1)))
    succeeded(run("merge", tmp_path / "u", "--output", tmp_path / "m"))
    assert (tmp_path / "m" / "model.safetensors").is_file()
    with pytest.raises(InputError, match=r"several GGUF files \(a\.gguf, b\.gguf\); give one of them"):
        gguf_file(tmp_path)


def test_files_that_are_none(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"PK\3\4")
    assert run("ask", file, "Who?").error == f"Model {file}: x.gguf is no GGUF file (it does not begin with GGUF)."
    whole = packed.read_bytes()
    for length in (4, 30, 3000, len(whole) - 500):
        file.write_bytes(whole[:length])
        assert run("ask", file, "Who?").error.startswith(f"Model {file}: ")
    monkeypatch.setattr("ngdiff.modeling.gguf_files.find_spec", lambda name: None)
    assert "pip install 'ngdiff[gguf]'" in run("ask", packed, "Who?").error
