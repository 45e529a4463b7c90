"""`config.json` and `tokenizer.json` with values that mean nothing: one line that names the file."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from ngdiff.errors import InputError
from ngdiff.modeling import load_model, load_tokenizer


def change(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"hidden_size": "wide"}, r"config\.json cannot be used: .*hidden_size"),
        ({"hidden_size": None}, r"config\.json"),
        ({"hidden_size": -8}, r"config\.json|negative"),
        ({"hidden_size": 10**15}, r"config\.json: hidden_size is 1e\+15, which is no size of a model"),
        ({"vocab_size": 1e30}, r"config\.json: vocab_size is 1e\+30"),
        ({"num_hidden_layers": 10**9}, r"config\.json: num_hidden_layers is 1e\+09, and the folder holds \d+ weight"),
        ({"num_attention_heads": 0}, r"config\.json"),
        ({"num_attention_heads": 3}, r"config\.json"),
        ({"hidden_act": "nope"}, r"config\.json|nope"),
        ({"model_type": "nope"}, r"config\.json cannot be used: .*nope"),
        ({"model_type": None}, r"config\.json cannot be used"),
        ({"model_type": "vit", "architectures": None}, r"no causal language model of the kind .*model_type"),
        ({"rope_parameters": {"rope_type": "nope"}}, r"."),
        (
            {"pad_token_id": 10**6},
            r"config\.json: pad_token_id is 1000000, and a vocab_size of WORDS has tokens 0 to LAST",
        ),
        ({"vocab_size": 200, "pad_token_id": None}, r"has the shape \[WORDS, 128\] in the checkpoint and \[200, 128\]"),
        ({"intermediate_size": 64}, r"has the shape .* in the checkpoint and .* by config\.json"),
        ({"dtype": "float7"}, r"."),
    ],
)
def test_values_of_a_config(folder: Path, tokenizer: Any, entries: dict[str, Any], message: str) -> None:
    message = message.replace("WORDS", str(len(tokenizer))).replace("LAST", str(len(tokenizer) - 1))
    change(folder / "config.json", **entries)
    with pytest.raises(InputError, match=message) as caught:
        load_model(folder)
    assert str(caught.value).startswith(f"Model {folder}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700 + len(str(folder))


@pytest.mark.parametrize("text", ["", "{", "[1]", "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe", "[" * 100000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_files_that_are_no_json_object(folder: Path, name: str, text: Any) -> None:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    load = load_model if name == "config.json" else load_tokenizer
    with pytest.raises(InputError, match=rf"Model .*: {name.replace('.', '[.]')} (is not JSON|holds no JSON object)"):
        load(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"model": None},
        {"model": {"type": "nope"}},
        {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": "x"}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}},
        {"pre_tokenizer": {"type": "nope"}},
        {"post_processor": 3},
        {"decoder": []},
        {"added_tokens": [{"id": "x"}]},
        {"added_tokens": [3]},
        {"version": 7},
    ],
    ids=str,
)
def test_values_of_a_tokenizer(folder: Path, entries: dict[str, Any]) -> None:
    change(folder / "tokenizer.json", **entries)
    with pytest.raises(
        InputError, match=r"tokenizer cannot be loaded from tokenizer\.json or the files beside it: ."
    ) as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "nope"])
def test_quantised_weights_without_the_package(folder: Path, method: str) -> None:
    change(folder / "config.json", quantization_config={"quant_method": method, "bits": 4, "load_in_4bit": True})
    with pytest.raises(InputError, match=rf"quantised with {method} .*cannot be loaded here \(.*\)\. Either install"):
        load_model(folder)


def test_weights_that_the_config_leaves_out_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    more = {name.replace("layers.0", "layers.1"): tensor.clone() for name, tensor in tensors.items() if "0" in name}
    save_file({**tensors, **more}, file, metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING, logger="ngdiff"):
        load_model(folder)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff")]
    assert told == [
        f"Model {folder}: {len(more)} weights of the checkpoint are not used, such as {min(more)}: config.json "
        "describes a model without them."
    ]
