import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from ngdiff.errors import InputError
from ngdiff.modeling import check_savable, load_model, save_model

LLAMA_2_CHAT = {"temperature": 0.6, "top_p": 0.9, "max_length": 4096}


@pytest.mark.parametrize(
    "settings",
    [
        LLAMA_2_CHAT,
        {"do_sample": False, "temperature": 0.9, "top_k": 7},
        {"do_sample": True, "temperature": 0.6},
        {"length_penalty": 2.0},
        {"pad_token_id": -1},
    ],
    ids=str,
)
def test_settings_are_saved_as_they_are(tmp_path: Path, folder: Path, tokenizer: Any, settings: dict[str, Any]) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1, **settings}))
    model = load_model(folder)
    model.generation_config.pad_token_id = settings.get("pad_token_id", 2)  # as a Trainer does
    check_savable(model, tokenizer)
    save_model(model, tokenizer, tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert settings.items() <= written.items()
    assert GenerationConfig.from_pretrained(tmp_path / "saved").to_dict() == model.generation_config.to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no JSON object but a list"),
        ('{"early_stopping": 3}', "cannot be used: .*early_stopping"),
        ('{"pad_token_id": "x"}', "cannot be used: ."),
        ('{"max_new_tokens": -4}', "cannot be used: .*max_new_tokens"),
        ('{"cache_implementation": "nope"}', "cannot be used: .*cache_implementation"),
    ],
)
def test_settings_that_mean_nothing(folder: Path, text: str, message: str) -> None:
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(InputError, match=rf"generation_config\.json {message}"):
        load_model(folder)


def test_what_cannot_be_saved_is_found_before_the_run(model: Any, tokenizer: Any) -> None:
    check_savable(model, tokenizer)
    model.generation_config.temperature = 0.3  # without do_sample
    with pytest.raises(InputError, match=r"does not write its generation_config\.json: .*temperature"):
        check_savable(model, tokenizer)
