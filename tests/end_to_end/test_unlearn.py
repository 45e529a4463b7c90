"""finetune, unlearn, evaluate: each stage starts from the files that the one before it wrote."""

import json
import logging
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from ngdiff.cli import main
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.training import UnlearnConfig
from ngdiff.training.presets import PRESETS

from .runs import log_of, rows_of, run, steps_of, succeeded, weights_of, write_rows

CHATML = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
    "\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def unlearned(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a run of 3 epochs of 2 steps."""
    folder = tmp_path_factory.mktemp("run") / "unlearned"
    succeeded(run(*material.words(folder, num_train_epochs=3, per_device_train_batch_size=2)))
    return folder


def test_the_output_is_a_model(material, unlearned):
    model = AutoModelForCausalLM.from_pretrained(unlearned)
    tokenizer = AutoTokenizer.from_pretrained(unlearned)
    before = weights_of(material.model)
    after = weights_of(unlearned)
    assert before.keys() == after.keys()
    assert before != after
    ids = tokenizer("Who?", return_tensors="pt")
    assert torch.isfinite(model(**ids).logits).all()
    assert model.config.vocab_size == len(tokenizer)


def test_the_output_tells_what_was_done(material, unlearned):
    manifest = json.loads((unlearned / "manifest.json").read_text())
    assert manifest["command"][:2] == ["ngdiff", "unlearn"]
    assert manifest["template"] == "plain"
    assert manifest["seed"] == 42
    assert {role: data["rows"] for role, data in manifest["data"].items()} == {"forget": 4, "retain": 12}
    assert list(manifest["data"]["forget"]["files"]) == ["forget.jsonl"]
    assert "model.safetensors" in manifest["model"]["files"]
    assert manifest["extra"]["finished"] is True
    losses = manifest["extra"]
    assert set(losses["losses_before"]) == set(losses["losses_after"]) == {"forget", "retain"}
    assert losses["losses_before"] != losses["losses_after"]

    config = yaml.safe_load((unlearned / "config.yaml").read_text())
    assert (config["learning_rate"], config["method"], config["num_train_epochs"]) == ("auto", "ngdiff", 3.0)
    assert manifest["extra"]["method"] == {"weighting": "ngdiff", "forget": "ce", "retain": "ce"}
    assert "accelerator_config" not in config

    log = log_of(unlearned)
    assert [row["step"] for row in steps_of(unlearned)] == [1, 2, 3, 4, 5, 6]
    assert {"loss_forget", "loss_retain", "norm_forget", "norm_retain", "cosine", "c_t", "learning_rate"} <= set(
        log["steps"][0]
    )
    assert [probe["step"] for probe in log["probes"]] == [1]
    assert (unlearned / "report" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_but_the_model_and_its_papers_lies_at_the_top(unlearned):
    model = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    papers = {"README.md", "config.yaml", "manifest.json"}
    assert {path.name for path in unlearned.iterdir()} == {*model, *papers, "report", "checkpoints"}
    assert {path.name for path in (unlearned / "report").iterdir()} == {"training_log.json", "curves.png"}


def test_a_checkpoint_is_written_each_epoch_and_two_are_kept(unlearned):
    kept = sorted(path.relative_to(unlearned).as_posix() for path in unlearned.rglob("checkpoint-*"))
    assert kept == ["checkpoints/checkpoint-4", "checkpoints/checkpoint-6"]
    assert not list(unlearned.glob(".*"))  # nothing half-done is left


def test_the_same_command_gives_the_same_model(material, unlearned, tmp_path):
    succeeded(run(*material.words(tmp_path / "again", num_train_epochs=3, per_device_train_batch_size=2)))
    assert weights_of(tmp_path / "again") == weights_of(unlearned)
    assert steps_of(tmp_path / "again") == steps_of(unlearned)


def test_its_config_repeats_the_run(unlearned, tmp_path):
    succeeded(run("unlearn", "--config", unlearned / "config.yaml", "--output", tmp_path / "again"))
    assert weights_of(tmp_path / "again") == weights_of(unlearned)


def test_evaluate(material, unlearned, tmp_path):
    words = ["--forget", material.forget, "--retain", material.retain, "--output", tmp_path / "scores"]
    outcome = succeeded(run("evaluate", "--model", unlearned, *words))
    assert "Verbmem" in outcome.out
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert 0 <= metrics["verbmem"] <= 1
    assert 0 <= metrics["utility"] <= 1
    for role, n in (("forget", 4), ("retain", 12)):
        assert metrics[role]["n"] == n
        assert {"rouge_l_recall", "probability", "loss", "truth_ratio"} <= metrics[role].keys()
        assert len(rows_of(tmp_path / "scores" / "private" / f"records_{role}.jsonl")) == n
    # The run and the evaluation measure the same loss.
    after = json.loads((unlearned / "manifest.json").read_text())["extra"]["losses_after"]
    assert metrics["forget"]["loss"] == pytest.approx(after["forget"], abs=1e-4)


def test_evaluate_without_output_writes_nothing(material, unlearned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeeded(run("evaluate", "--model", unlearned, "--forget", material.forget, "--retain", material.retain))
    assert not list(tmp_path.iterdir())


def test_no_text_of_the_data_outside_private(material, tmp_path, capfd, caplog):
    """Not in files, not on the terminal, not in logs; at the most talkative level of our own loggers."""
    caplog.set_level(logging.DEBUG, logger="ngdiff")
    sets = ["--forget", material.forget, "--retain", material.retain]
    model = ["--model", material.shape, "--train", material.data / "full.jsonl", "--vocab-size", 300]
    assert run("finetune", *model, "--output", tmp_path / "m", "--num-train-epochs", 1).status == 0
    unlearn = ["unlearn", "--model", tmp_path / "m", *sets, "--output", tmp_path / "u", "--num-train-epochs", 1]
    evaluate = ["evaluate", "--model", tmp_path / "u", *sets, "--output", tmp_path / "e"]
    # No redirection this time: file descriptors are captured.
    for words in (unlearn, [*unlearn, "--disable-tqdm", "--overwrite"], evaluate):
        assert main([str(word) for word in words]) == 0

    rows = rows_of(material.forget) + rows_of(material.retain)
    texts = [text for row in rows for text in (row["question"], row["answer"], *row["perturbed_answer"])]
    said = "".join(capfd.readouterr()) + caplog.text
    assert "forget" in said  # something was said at all
    assert [text for text in texts if text in said] == []
    leaking = [
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    ]
    assert sorted(leaking) == ["e/private/records_forget.jsonl", "e/private/records_retain.jsonl"]
    assert (tmp_path / "e" / "private" / ".gitignore").read_text() == "*\n"


def test_lora_writes_an_adapter_that_evaluate_loads(material, tmp_path):
    folder = tmp_path / "adapter"
    succeeded(run(*material.words(folder, num_train_epochs=2, lora_rank=2)))
    assert (folder / "adapter_model.safetensors").is_file()
    assert not (folder / "model.safetensors").exists()
    assert any(any(value) for value in weights_of(folder, "adapter_model.safetensors").values())
    words = ["--forget", material.forget, "--retain", material.retain, "--output", tmp_path / "scores"]
    succeeded(run("evaluate", "--model", folder, *words))
    after = json.loads((folder / "manifest.json").read_text())["extra"]["losses_after"]["forget"]
    loss = json.loads((tmp_path / "scores" / "metrics.json").read_text())["forget"]["loss"]
    assert loss == pytest.approx(after, abs=1e-4)


def test_a_seed_gives_the_same_adapter(material, tmp_path):
    for name in ("a", "b"):
        torch.manual_seed(ord(name))  # what other code drew before must not matter
        succeeded(run(*material.words(tmp_path / name, num_train_epochs=1, lora_rank=2)))
    first, second = (weights_of(tmp_path / name, "adapter_model.safetensors") for name in ("a", "b"))
    assert first == second


def chat_rows(file: Path, target: Path) -> Path:
    rows = rows_of(file)
    return write_rows(
        target,
        [
            {
                "messages": [
                    {"role": "user", "content": row["question"]},
                    {"role": "assistant", "content": row["answer"]},
                ]
            }
            for row in rows
        ],
    )


def test_conversations_with_a_chat_template(material, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(material.model)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    files = {name: chat_rows(material.data / name, tmp_path / name) for name in ("full.jsonl", "retain.jsonl")}
    forget = chat_rows(material.forget, tmp_path / "forget.jsonl")
    words = ["--tokenizer", tmp_path / "tokenizer", "--train", files["full.jsonl"], "--num-train-epochs", 1]
    succeeded(run("finetune", "--model", material.shape, *words, "--output", tmp_path / "m"))
    sets = ["--forget", forget, "--retain", files["retain.jsonl"]]
    succeeded(run("unlearn", "--model", tmp_path / "m", *sets, "--output", tmp_path / "u", "--num-train-epochs", 1))
    assert json.loads((tmp_path / "u" / "manifest.json").read_text())["template"] == "chat"
    assert AutoTokenizer.from_pretrained(tmp_path / "u").chat_template == CHATML
    succeeded(run("evaluate", "--model", tmp_path / "u", *sets, "--output", tmp_path / "e"))
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["forget"]["n"] == 4


def test_conversations_without_a_chat_template(material, tmp_path):
    forget = chat_rows(material.forget, tmp_path / "forget.jsonl")
    retain = chat_rows(material.retain, tmp_path / "retain.jsonl")
    outcome = run(*material.words(tmp_path / "u", forget=forget, retain=retain))
    assert outcome.status == 2
    assert "chat template" in outcome.error
    assert not (tmp_path / "u").exists()


def test_without_log_lines_there_is_no_picture_and_all_else(material, tmp_path):
    succeeded(run(*material.words(tmp_path / "u", num_train_epochs=1, logging_strategy="no")))
    assert json.loads((tmp_path / "u" / "manifest.json").read_text())["extra"]["finished"] is True
    assert steps_of(tmp_path / "u") == []
    assert not (tmp_path / "u" / "report" / "curves.png").exists()


def test_a_split_of_tofu(real_data, tmp_path):
    model = real_data / "lm" / "stories260K"
    tofu = real_data / "tofu"
    sets = ["--forget", f"{tofu}:forget01", "--retain", f"{tofu}:retain99"]
    words = ["--output", tmp_path / "u", "--max-steps", 2, "--method", "ngdiff"]
    succeeded(run("unlearn", "--model", model, *sets, *words))
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert {role: data["rows"] for role, data in manifest["data"].items()} == {"forget": 40, "retain": 3960}
    assert len(steps_of(tmp_path / "u")) == 2
    # A smaller retain set than that of the run: 117 short answers.
    sets = ["--forget", f"{tofu}:forget01", "--retain", f"{tofu}:world_facts"]
    succeeded(run("evaluate", "--model", tmp_path / "u", *sets, "--output", tmp_path / "e"))
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics["forget"]["truth_ratio"] > 0
    assert metrics["retain"]["n"] == 117


def test_a_preset_is_told_resolved_and_read_again(material, tmp_path, caplog):
    folder = tmp_path / "paper"
    words = material.words(folder, "--preset", "paper", "--autolr-inertia", "0.5", max_steps=1)
    succeeded(run(*words))
    assert "--preset paper, but with --autolr-inertia 0.5 in place of 0.0." in caplog.text
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    given = {"preset": "paper", **PRESETS["paper"].values, "autolr_inertia": 0.5}
    assert {name: float(stored[name]) if name == "autolr_max_change" else stored[name] for name in given} == given

    values = TextUnlearning.parser.parse(["--config", str(folder / "config.yaml"), "--output", str(folder)])
    again = TextUnlearning.parser.build(UnlearnConfig, values, output_dir=str(folder))
    assert {name: getattr(again, name) for name in given} == given
