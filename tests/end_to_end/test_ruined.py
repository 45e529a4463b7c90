"""A ruined model is not handed over as a good one."""

import json

import pytest
from safetensors.torch import load_file, save_file

from ngdiff.exit_codes import RUINED_MODEL

from .runs import run, succeeded, weights_of


def no_nan(text: str) -> object:
    raise AssertionError(text)


# Ascent on the forget loss alone, with steps of one size: it ruins the model on any processor.
DIVERGING = {
    "weighting": "ga",
    "learning_rate": 0.1,
    "optim": "adamw_torch",
    "forget_ceiling": "none",
    "num_train_epochs": 3,
}


@pytest.mark.parametrize("lora", [None, 2])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (DIVERGING, "its retain loss rose"),
        ({"learning_rate": 1e29, "max_steps": 1, "autolr_search": "false"}, "is nan"),
    ],
)
def test_unlearn(material, tmp_path, options, said, lora):
    folder = tmp_path / "u"
    outcome = run(*material.words(folder, lora_rank=lora, per_device_train_batch_size=2, **options))
    assert outcome.status == RUINED_MODEL == 3
    assert outcome.error.startswith("the model is ruined: ")
    assert said in outcome.error
    assert f"It is kept in {folder / 'ruined'}, not in {folder}." in outcome.error
    assert ("--max-retain-loss none" in outcome.error) == ("rose" in said)
    assert "The model is in" not in outcome.out
    name = "adapter_model.safetensors" if lora else "model.safetensors"
    assert (folder / "ruined" / name).is_file()
    assert (folder / "ruined" / "tokenizer.json").is_file()
    assert not (folder / name).exists()
    extra = json.loads((folder / "manifest.json").read_text(), parse_constant=no_nan)["extra"]
    assert (extra["finished"], extra["model"]) == (True, "ruined")
    assert said in extra["ruined"]
    json.loads((folder / "report" / "training_log.json").read_text(), parse_constant=no_nan)


def test_who_wants_a_destroyed_model_gets_it(material, tmp_path):
    outcome = run(*material.words(tmp_path / "u", "--max-retain-loss", "none", **DIVERGING))
    assert succeeded(outcome).out.startswith("forget loss: ")
    assert weights_of(tmp_path / "u")
    extra = json.loads((tmp_path / "u" / "manifest.json").read_text())["extra"]
    assert extra["max_retain_loss"] is None
    assert "ruined" not in extra


def test_a_bound_of_the_users_own(material, tmp_path):
    outcome = run(*material.words(tmp_path / "u", max_steps=1, max_retain_loss=0.001))
    assert outcome.status == 3
    assert "and 0.001 is the most that is taken" in outcome.error


def test_finetune(material, tmp_path):
    words = ["finetune", "--model", material.model, "--train", material.retain, "--output", tmp_path / "m"]
    diverging = ["--learning-rate", 1e29, "--max-steps", 1, "--lr-scheduler-type", "constant", "--warmup-steps", 0]
    outcome = run(*words, *diverging)
    assert outcome.status == 3
    assert "the model is ruined: " in outcome.error
    assert (tmp_path / "m" / "ruined" / "model.safetensors").is_file()
    assert not (tmp_path / "m" / "model.safetensors").exists()
    bounded = run(*words, "--overwrite", "--max-steps", 1, "--max-loss", 0.001)
    assert bounded.status == 3
    assert "--max-loss none" in bounded.error
    succeeded(run(*words, "--overwrite", "--max-steps", 1, "--max-loss", "none"))
    assert (tmp_path / "m" / "model.safetensors").is_file()


def test_a_run_that_changed_nothing_says_so(material, tmp_path, caplog):
    succeeded(run(*material.words(tmp_path / "u", max_steps=1, learning_rate=1e-20)))
    assert "The run changed nothing" in caplog.text
    assert weights_of(tmp_path / "u") == weights_of(material.model)


def test_both_sides_at_rest(material, tmp_path, caplog):
    options = {"retain_objective": "kl", "forget_ceiling": "1.0", "max_steps": 3}
    succeeded(run(*material.words(tmp_path / "u", **options)))
    assert "the weights do not change: the retain objective is at its minimum" in caplog.text
    assert "the forget loss, 4." in caplog.text
    assert "The run changed nothing" in caplog.text


@pytest.mark.parametrize("rate", ["auto:1e-300", "auto:1e300", "auto:5e-324", "1e300", "1e-40"])
def test_rates_that_weights_cannot_hold(material, tmp_path, rate):
    outcome = run(*material.words(tmp_path / "u", learning_rate=rate))
    assert outcome.status == 2
    assert outcome.error == f"--learning-rate {rate} is not from 1e-30 to 1e+30"


def test_weights_of_zero(material, tmp_path, caplog, copy_of):
    model = copy_of(material.model)
    weights = load_file(model / "model.safetensors")
    save_file({k: v.zero_() for k, v in weights.items()}, model / "model.safetensors", metadata={"format": "pt"})
    succeeded(run(*material.words(tmp_path / "u", max_steps=3, model=model)))
    assert "the retain gradient is 0, and the forget loss, 5.70, is at the ceiling of 5.70" in caplog.text
    assert "The run changed nothing" in caplog.text


def test_a_ruined_run_that_is_resumed_is_done_and_ruined(material, tmp_path):
    folder = tmp_path / "u"
    options = {"max_steps": 2, "save_steps": 1, "save_strategy": "steps"}
    assert run(*material.words(folder, max_retain_loss=0.001, **options)).status == 3
    before = weights_of(folder / "ruined")
    again = run(*material.words(folder, "--resume", max_retain_loss=0.001, **options))
    assert again.status == 3
    assert again.error.startswith(f"the run in {folder} is done, and its model is ruined: its retain loss rose")
    assert weights_of(folder / "ruined") == before
    # Who then wants it after all gets the same weights.
    succeeded(run(*material.words(folder, "--resume", max_retain_loss="none", **options)))
    assert weights_of(folder) == before
    assert not (folder / "ruined").exists()
    done = succeeded(run(*material.words(folder, "--resume", max_retain_loss="none", **options)))
    assert f"The run in {folder} is done" in done.out
