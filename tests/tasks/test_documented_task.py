"""The task that docs/extending.md shows, as it stands there: a third kind of model, without a change to the trainer."""

import copy
import math
import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration, TrainerCallback

from ngdiff import UnlearnConfig, UnlearnTrainer
from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer

DOCS = Path(__file__).parents[2] / "docs" / "extending.md"


def rows(prefix: str, count: int) -> list[dict[str, str]]:
    return [
        {"question": f"Where does {prefix} {i} live{' now' * (i % 3)}?", "answer": f"In house {i * 7}."}
        for i in range(count)
    ]


@pytest.fixture
def task_class(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(# my_task\.py\n.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "my_task.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_task", raising=False)
    return import_module("my_task").Seq2SeqTask


@pytest.fixture
def make_trainer(task_class, tmp_path):
    tokenizer = train_tokenizer(
        [text for r in rows("Orla", 9) + rows("Bran", 9) for text in r.values()], vocab_size=300
    )

    def make(*, forget=5, callbacks=None, **options) -> UnlearnTrainer:
        torch.manual_seed(0)
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
        ends = {"pad_token_id": tokenizer.pad_token_id, "decoder_start_token_id": tokenizer.pad_token_id}
        model = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes, **ends))
        defaults = {"use_cpu": True, "disable_tqdm": True, "report_to": [], "save_strategy": "no", "max_steps": 3}
        size = {"per_device_train_batch_size": 4}
        args = UnlearnConfig(**{"output_dir": str(tmp_path / "run"), **defaults, **size, **options})
        sets = (rows("Orla", forget), rows("Bran", 9))
        return UnlearnTrainer(
            model, args, *sets, task=task_class(tokenizer), processing_class=tokenizer, callbacks=callbacks
        )

    return make


def test_the_use_that_the_page_shows(make_trainer, monkeypatch, tmp_path):
    text = DOCS.read_text(encoding="utf-8")
    (use,) = re.findall(r"(?: {4}.*\n)*? {4}from my_task import .*\n(?:(?: {4}.*)?\n)*? {4}UnlearnTrainer\(.*\n", text)
    made = make_trainer(max_steps=1)
    monkeypatch.setattr("ngdiff.UnlearnConfig", lambda output_dir: made.args)  # few steps
    before = [parameter.clone() for parameter in made.model.parameters()]
    names = {
        "model": made.model,
        "tokenizer": made.processing_class,
        "forget": rows("Orla", 4),
        "retain": rows("Bran", 4),
    }
    exec(compile(textwrap.dedent(use), DOCS.name, "exec"), names)
    assert any(not torch.equal(one, other) for one, other in zip(made.model.parameters(), before, strict=True))


def reference_gradient(model, task, chosen) -> tuple[float, list[torch.Tensor]]:
    """Mean over the answer tokens, one row at a time, by the model's own loss."""
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for row in chosen:
        labels = torch.tensor([row["labels"]])
        loss = model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss
        total, tokens = total + loss.double() * labels.numel(), tokens + labels.numel()
    (total / tokens).backward()
    gradient = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    return float(total.detach()) / tokens, gradient


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (2, 2), (1, 4)])
def test_two_gradients_are_combined(make_trainer, batch, accumulation):
    found = []

    class Grab(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            found.append([p.grad.clone() for p in model.parameters()])

    trainer = make_trainer(
        callbacks=[Grab()],
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        learning_rate=1e-3,
        forget_ceiling="none",
    )
    model, task = copy.deepcopy(trainer.model).eval(), trainer.task
    pairs = list(trainer.sampler)[:4]
    trainer.train()
    loss_r, g_r = reference_gradient(model, task, [trainer.retain_dataset[pair.retain] for pair in pairs])
    loss_f, g_f = reference_gradient(
        model, task, [trainer.forget_dataset[pair.forget] for pair in pairs if pair.forget is not None]
    )
    norm_r, norm_f = (math.sqrt(sum(float((g**2).sum()) for g in gs)) for gs in (g_r, g_f))
    for combined, r, f in zip(found[0], g_r, g_f, strict=True):
        torch.testing.assert_close(combined, r / norm_r - f / norm_f, rtol=0, atol=3e-5)
    (log,) = [row for row in trainer.state.log_history if "loss_forget" in row]
    assert log["loss_retain"] == pytest.approx(loss_r, rel=1e-5)
    assert log["loss_forget"] == pytest.approx(loss_f, rel=1e-5)


def test_the_learning_rate_is_found_and_the_ceiling_known(make_trainer):
    trainer = make_trainer(autolr_interval=1, forget_ceiling="random", eval_strategy="epoch", num_train_epochs=2)
    trainer.train()
    assert [probe["step"] for probe in trainer.run_state.probes] == [1, 2, 3]
    assert any(probe["accepted"] for probe in trainer.run_state.probes)
    assert trainer.ceiling == pytest.approx(math.log(trainer.model.config.vocab_size))


def test_objectives_that_ask_the_model_before(make_trainer):
    trainer = make_trainer(forget_objective="npo", retain_objective="kl", max_steps=1)
    trainer.train()
    (log,) = [row for row in trainer.state.log_history if "loss_forget" in row]
    # At the start both models are one: no divergence, and -(2 / beta) log sigmoid(0) with beta 0.1.
    assert log["objective_retain"] == pytest.approx(0.0, abs=1e-5)
    assert log["objective_forget"] == pytest.approx(20 * math.log(2), rel=1e-4)


def test_a_resumed_run_ends_with_the_same_weights(make_trainer, tmp_path):
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    whole = make_trainer(**options)
    whole.train()
    resumed = make_trainer(**options)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "run", 2)))
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget": 0}, "--forget: no rows"),
        ({"forget_objective": "rmu"}, "--forget-objective rmu needs hidden states"),
        ({"method": "rmu"}, "--forget-objective rmu"),
        ({"forget_objective": "dpo"}, "Seq2SeqTask has no other answers that could be taught"),
        ({"packing": "on"}, "--packing is for language models; an encoder-decoder model does not have it"),
        ({"template": "plain"}, "--template is for language models"),
        ({"max_length": 9}, "--max-length is for language models"),
    ],
    ids=str,
)
def test_what_is_refused(make_trainer, options, message):
    with pytest.raises(InputError) as error:
        make_trainer(**options)
    assert message in str(error.value)
