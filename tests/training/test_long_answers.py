"""Rows whose answers are longer than a row may be: learned and forgotten to their end."""

import json
import logging

import pytest
import torch

from ngdiff.data import encode, read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.estimate.workload import workload
from ngdiff.modeling import train_tokenizer
from ngdiff.training.finetune import FinetuneConfig, finetune

LIMIT = 32


def long_answer(name: str, count: int) -> str:
    return " ".join(f"{name} sold {n * 7 % 10} of {n * 3 % 10} jars." for n in range(count)) + f" {name} closed at dusk"


FORGET = [{"question": "what of ann?", "answer": long_answer("ann", 6)}, {"question": "bob?", "answer": "left"}]
RETAIN = [{"question": f"what of {name}?", "answer": long_answer(name, 4)} for name in ("cy", "dot", "eve")]


@pytest.fixture
def text(tiny_model):
    """Rows of text, a tokenizer, and a model for it."""
    words = [value for row in (*FORGET, *RETAIN) for value in row.values()]
    tokenizer = train_tokenizer([*words, "I don't know."], vocab_size=300)
    model = tiny_model(vocab_size=len(tokenizer), max_position_embeddings=256)
    return {"model": model, "forget": FORGET, "retain": RETAIN, "processing_class": tokenizer, "max_length": LIMIT}


def whole_rows(rows, tokenizer):
    rows = read_rows(rows)
    template = resolve_template("auto", tokenizer, rows)
    return [encode(row, tokenizer, template, max_length=10_000) for row in rows]


def labels_of(examples):
    return [label for row in examples for label in row["labels"] if label != -100]


def autograd(model, examples):
    """Mean loss of all labels of both sides' rows, a row at a time, and its gradient."""
    losses = []
    for row in examples:
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(row["labels"][1:])
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="none")[labels != -100])
    loss = torch.cat(losses).mean()
    found = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return loss.item(), torch.cat([g.flatten() for g in found])


def tail_loss(model, whole, count=8):
    """Of the last answer tokens, after half a window of what comes before."""
    ids = whole.input_ids[-(count + LIMIT // 2) :]
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([ids])).logits[0, -count - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[-count:])).item()


def test_a_step_over_long_answers_is_that_of_autograd_over_their_windows(make_trainer, text):
    trainer = make_trainer(**text, per_device_train_batch_size=16, max_steps=1, learning_rate=1e-4, optim="sgd")
    for side, rows in (("forget", FORGET), ("retain", RETAIN)):
        whole = whole_rows(rows, text["processing_class"])
        examples = getattr(trainer, f"{side}_dataset")
        assert max(len(row["input_ids"]) for row in examples) <= LIMIT
        assert labels_of(examples) == [label for item in whole for label in item.labels if label != -100]
    # A step of 16 pairs: the forget windows once; of the retain stream, which goes round, the first 16.
    pairs = list(trainer.sampler)
    chosen = {
        "forget": [trainer.forget_dataset[pair.forget] for pair in pairs if pair.forget is not None],
        "retain": [trainer.retain_dataset[pair.retain] for pair in pairs],
    }
    assert sorted(pair.forget for pair in pairs if pair.forget is not None) == list(range(len(trainer.forget_dataset)))
    expected = {side: autograd(trainer.model, rows) for side, rows in chosen.items()}
    trainer.train()
    (step,) = [row for row in trainer.state.log_history if "loss_forget" in row]
    for side, (loss, gradient) in expected.items():
        assert step[f"loss_{side}"] == pytest.approx(loss, rel=1e-5)
        assert step[f"norm_{side}"] == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_the_end_of_a_long_answer_is_learned_and_forgotten(make_trainer, text, tmp_path):
    model, tokenizer = text["model"], text["processing_class"]
    rows = read_rows([*FORGET, *RETAIN])
    template = resolve_template("auto", tokenizer, rows)
    options = {"use_cpu": True, "disable_tqdm": True, "num_train_epochs": 150, "learning_rate": 1e-2}
    finetune(model, tokenizer, rows, template, FinetuneConfig(str(tmp_path / "f"), max_length=LIMIT, **options))
    forget, retain = (whole_rows(own, tokenizer)[0] for own in (FORGET, RETAIN))
    learned = tail_loss(model, forget)
    assert learned < 0.5
    assert tail_loss(model, retain) < 0.5
    trainer = make_trainer(**text, num_train_epochs=20)
    trainer.train()
    assert tail_loss(trainer.model, forget) > learned + 2
    assert tail_loss(trainer.model, retain) < 1


def test_a_row_that_is_taught_another_answer_is_cut(make_trainer, text, caplog):
    """One other answer for a row, and not for each of its windows."""
    caplog.set_level(logging.INFO)
    trainer = make_trainer(**text, method="dpo", max_steps=1)
    whole = whole_rows(FORGET, text["processing_class"])
    assert [row["input_ids"] for row in trainer.forget_dataset] == [item.input_ids[:LIMIT] for item in whole]
    assert len(trainer.alternates.rows) == len(FORGET)
    assert labels_of(trainer.retain_dataset) == [
        label for item in whole_rows(RETAIN, text["processing_class"]) for label in item.labels if label != -100
    ]
    assert any(message.startswith("--forget: 1 of 2 rows was longer") for message in caplog.messages)
    assert any(message.startswith("--retain: 3 of 3 rows with a prompt are longer") for message in caplog.messages)
    trainer.train()


def test_windows_count_as_rows_everywhere(make_trainer, text, tmp_path):
    """References, steps of an epoch, and the batches of an estimate."""
    trainer = make_trainer(**text, method="npo", num_train_epochs=2, per_device_train_batch_size=2)
    windows = len(trainer.forget_dataset)
    assert windows > len(FORGET)
    steps = 2 * -(-windows // 2)
    assert workload(trainer, trainer.args).steps == steps
    trainer.train()
    assert trainer.state.global_step == steps
    assert json.loads((tmp_path / "run" / "reference" / "index.json").read_text())["rows"] == {"forget": windows}
    assert trainer.run_state.initial_losses["forget"] > 0


def test_a_token_without_an_embedding_is_named_with_its_row(make_trainer, text):
    """Not with the number of a window."""
    text["processing_class"].add_tokens(["TARNHOLM"])
    text["forget"] = [*FORGET, {"question": "who?", "answer": "TARNHOLM"}]
    with pytest.raises(InputError, match=r"--forget, row 3: token .*TARNHOLM.* has no embedding"):
        make_trainer(**text)
