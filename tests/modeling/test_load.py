import json
import os
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ngdiff.cli.inputs import described_model, inputs_of
from ngdiff.errors import InputError
from ngdiff.modeling import adapter_base, add_adapter, check_vocabulary, load_model, load_tokenizer
from ngdiff.modeling.load import DTYPES
from ngdiff.modeling.vocabulary import pad_token_within


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture
def adapter(tmp_path: Path, folder: Path) -> Path:
    lora = get_peft_model(load_model(folder), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in lora.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    lora.save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


def test_model_and_tokenizer_come_back(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    for name in (folder, str(folder), f"{folder}/"):
        loaded = load_model(name)
        assert_same(loaded, model)
        assert not loaded.training
        assert load_tokenizer(name)("some words")["input_ids"] == tokenizer("some words")["input_ids"]


def test_real_pretrained_model() -> None:
    if "NGDIFF_DATA" not in os.environ:
        pytest.skip("NGDIFF_DATA is not set: no pretrained model to load")
    folder = Path(os.environ["NGDIFF_DATA"], "lm", "stories260K")
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    check_vocabulary(model, tokenizer)
    golden = json.loads((folder / "greedy_golden.json").read_text())
    assert sum(p.numel() for p in model.parameters()) == 260_032
    with torch.no_grad():
        ids = model.generate(torch.tensor([golden["prompt_ids"]]), max_new_tokens=60, do_sample=False)[0].tolist()
    start = len(golden["prompt_ids"])
    generated = ids[start:]
    greedy = golden["greedy_ids"][start if golden["greedy_ids"][:start] == golden["prompt_ids"] else 0 :]
    assert generated == greedy[: len(generated)]
    assert len(generated) == 60


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_dtypes(folder: Path, model: PreTrainedModel, stored: torch.dtype) -> None:
    model.to(stored).save_pretrained(str(folder))
    assert load_model(folder).dtype == stored
    for name, dtype in DTYPES.items():
        expected = stored if dtype == "auto" else dtype
        assert {p.dtype for p in load_model(folder, dtype=name).parameters()} == {expected}
    assert load_model(folder, dtype=torch.float16).dtype == torch.float16
    with pytest.raises(InputError, match=r"dtype 'fp32' is not known; use one of auto, float32"):
        load_model(folder, dtype="fp32")


def test_adapter_folder_gives_base_under_a_trainable_adapter(adapter: Path, model: PreTrainedModel) -> None:
    loaded = load_model(adapter)
    assert isinstance(loaded, PeftModel)
    trainable = {name for name, p in loaded.named_parameters() if p.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)
    ids = torch.tensor([[1, 5, 7]])
    with torch.no_grad():
        expected = model.eval()(input_ids=ids).logits
        with loaded.disable_adapter():
            assert torch.equal(loaded(input_ids=ids).logits, expected)
        assert not torch.allclose(loaded(input_ids=ids).logits, expected)
    assert load_tokenizer(adapter).eos_token == "</s>"  # the base's


def test_adapter_without_a_base(adapter: Path) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": None}))
    for load in (load_model, load_tokenizer):
        with pytest.raises(InputError, match=r"adapter_config\.json does not name its base model"):
            load(adapter)


def rename_base(adapter: Path, base: str) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))


def test_the_base_is_looked_for_beside_the_adapter_too(
    adapter: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename_base(adapter, f"../{folder.name}")
    (adapter / "elsewhere").mkdir()
    monkeypatch.chdir(adapter / "elsewhere")
    assert isinstance(load_model(adapter), PeftModel)
    assert load_tokenizer(adapter).eos_token == "</s>"
    assert adapter_base(adapter).resolve() == folder.resolve()
    assert adapter_base(folder) is None
    assert adapter_base("owner/model") is None


def test_an_adapter_names_its_base_by_the_full_path(
    folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from another folder, a relative name would be no model, or another one of the same name."""
    monkeypatch.chdir(folder.parent)
    new = add_adapter(load_model(folder.name), LoraConfig(r=2, target_modules=["q_proj"]), seed=0)
    new.save_pretrained(str(tmp_path / "new"))
    rename_base(adapter, folder.name)  # as earlier versions wrote it
    load_model(adapter).save_pretrained(str(tmp_path / "trained further"))
    (tmp_path / "other" / folder.name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")
    for place in (tmp_path / "new", tmp_path / "trained further"):
        assert adapter_base(place) == folder.absolute()


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
@pytest.mark.parametrize("base", ["/no/such/base", "./base", "owner/base"])
def test_a_base_that_is_nowhere(adapter: Path, base: str, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(adapter)
    rename_base(adapter, base)
    with pytest.raises(InputError) as caught:
        load(adapter)
    start = f"Model {adapter}: the adapter's base model {base} cannot be used. Model {base}: no"
    assert str(caught.value).startswith(start)


def test_an_adapter_of_itself(adapter: Path) -> None:
    rename_base(adapter, str(adapter))
    with pytest.raises(InputError, match=r"adapter_config\.json names this very folder as the base model"):
        load_model(adapter)


@pytest.mark.parametrize("load", [load_model, load_tokenizer, adapter_base, described_model, inputs_of])
@pytest.mark.parametrize("start", ["first", "outer"])
def test_adapters_that_name_each_other(tmp_path: Path, load: Any, start: str) -> None:
    first, second, outer = (tmp_path / name for name in ("first", "second", "outer"))
    for place, base in ((first, second), (second, first), (outer, first)):
        place.mkdir()
        (place / "adapter_model.safetensors").touch()
        (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    with pytest.raises(InputError) as caught:
        load(tmp_path / start)
    assert str(caught.value) == (
        f"Model {tmp_path / start}: adapters name each other as the base model, so there is no whole model below them: "
        f"{first} -> {second} -> {first} (base_model_name_or_path in adapter_config.json)"
    )


def test_a_relative_base_that_is_two_folders(
    adapter: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them the adapter was trained on is not known, and the other one would be another model."""
    rename_base(adapter, "base")
    here, beside = tmp_path / "here" / "base", adapter / "base"
    for place in (here, beside):
        place.mkdir(parents=True)
    monkeypatch.chdir(here.parent)
    with pytest.raises(InputError) as caught:
        adapter_base(adapter)
    assert str(caught.value) == (
        f"Model {adapter}: adapter_config.json names its base model by a relative path, base, and that is {here}, seen "
        f"from the current folder, and {beside}, seen from the adapter's; give the full path of the right one "
        "(base_model_name_or_path)"
    )
    monkeypatch.chdir(adapter)
    assert adapter_base(adapter).resolve() == beside.resolve()  # one folder, seen from both


def test_a_relative_base_that_is_taken_from_the_current_folder_is_said(
    adapter: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Adapters of earlier versions have such names; seen from another folder they are another model."""
    monkeypatch.chdir(folder.parent)
    load_model(adapter)
    assert not caplog.messages
    rename_base(adapter, folder.name)
    load_model(adapter)
    assert caplog.messages == [
        f"Model {adapter}: adapter_config.json names its base model by a relative path, {folder.name}: taken is "
        f"{folder}, seen from the current folder. If that is not the model that the adapter was trained on, give "
        "the full path there (base_model_name_or_path)."
    ]


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON: "), ("[]", "does not name its base model")])
def test_a_broken_adapter_config(adapter: Path, text: str, message: str) -> None:
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(InputError, match=rf"adapter_config\.json {message}"):
        load_model(adapter)


def test_adapter_with_pickled_weights_is_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match=r"only pickled weights \(adapter_model\.bin\)"):
        load_model(adapter)


def test_missing_folder(tmp_path: Path) -> None:
    for name in (
        tmp_path / "none",
        str(tmp_path / "none"),
        "./none",
        "~/no-such-folder-here",
        "a/b/c",
        "none/",
    ):
        for load in (load_model, load_tokenizer):
            with pytest.raises(InputError, match="no such folder"):
                load(name)


def test_file_for_a_folder(folder: Path) -> None:
    for load in (load_model, load_tokenizer):
        with pytest.raises(InputError, match="this is a file; give the folder it lies in"):
            load(folder / "config.json")


def test_name_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"Model no/such: no folder of that name here, and no model from the hub: ."):
        load_model("no/such")
    with pytest.raises(InputError, match=r"no folder of that name here, and no tokenizer from the hub: ."):
        load_tokenizer("no/such")


def test_folder_without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer in this folder; expected tokenizer\.json"):
        load_tokenizer(folder)


def test_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json is not JSON: ."):
        load_tokenizer(folder)


def test_tokenizer_without_end_token(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key != "eos_token"}
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="its tokenizer has no end token"):
        load_tokenizer(folder)


def test_a_tokenizer_without_pad_token_stays_so_and_the_end_token_pads(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key != "pad_token"}
    path.write_text(json.dumps(config))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token_id is None
    assert pad_token_within(tokenizer, None) == tokenizer.eos_token_id is not None


def test_folder_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json in this folder"):
        load_model(folder)


def test_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no weights in this folder; expected model\.safetensors"):
        load_model(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_pickled_weights_are_refused(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"never read")
    with pytest.raises(InputError, match=rf"only pickled weights \({name}\).*safetensors"):
        load_model(folder)


def test_pickled_weights_beside_safe_ones_are_not_read(folder: Path, model: PreTrainedModel) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert_same(load_model(folder), model)


def test_checkpoint_that_lacks_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in tensors if "q_proj" in name)
    del tensors[lost]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"lacks 1 of the model's weights, such as .*{lost.split('.')[-2]}"):
        load_model(folder)


def test_damaged_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read: .*header"):
        load_model(folder)


def test_remote_code_does_not_run_unasked(folder: Path) -> None:
    (folder / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    path = folder / "config.json"
    mapped = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | mapped))
    with pytest.raises(InputError, match=r"needs Python code that comes with it; give --trust-remote-code"):
        load_model(folder)
    assert not list(folder.glob("**/ran"))


def test_a_model_of_images_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"no tokenizer in this folder; this is a model of images; unlearn, fine"):
        load_tokenizer(tmp_path)
