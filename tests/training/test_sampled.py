"""AltPO in a run: the model makes up answers once, in `private/`, and a resumed run teaches the same."""

import json
import logging
import stat

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.tasks.sampled import PER_ROW, REQUEST
from ngdiff.training.sampled import FILE

from .runs import flat, steps

OPTIONS = {"method": "altpo+ngdiff", "per_device_train_batch_size": 2, "seed": 3, "learning_rate": 1e-2}


@pytest.fixture
def text(tiny_model, monkeypatch):
    """Rows of text, a tokenizer that knows the request, and a model with room for it; answers are short."""
    monkeypatch.setattr("ngdiff.tasks.sampled.MAX_NEW_TOKENS", 4)
    forget = [{"question": f"who is {name}?", "answer": f"{name} is a baker"} for name in ("ann", "bob", "cy")]
    retain = [{"question": f"what is {n}?", "answer": f"{n} is a number of {n} ones"} for n in range(4)]
    words = [row[key] for row in (*forget, *retain) for key in row]
    tokenizer = train_tokenizer([*words, REQUEST, "I don't know."], vocab_size=400)
    return {
        "forget": forget,
        "retain": retain,
        "processing_class": tokenizer,
        "model": tiny_model(vocab_size=len(tokenizer), max_position_embeddings=256),
    }


def made_up(folder):
    lines = (folder / "private" / FILE).read_text(encoding="utf-8").strip("\n").split("\n")
    return [json.loads(line) for line in lines]


def test_a_run_teaches_answers_that_the_model_made_up_and_keeps_them_private(make_trainer, text, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = tmp_path / "run"
    make_trainer(**text, **OPTIONS, save_strategy="steps", save_steps=1, max_steps=1).train()
    found = made_up(run)
    assert [line["row"] for line in found] == [0, 1, 2]
    answers = [answer for line in found for answer in line["answers"]]
    assert [len(line["answers"]) for line in found] == [PER_ROW] * 3
    assert len(set(answers)) > PER_ROW
    assert stat.S_IMODE((run / "private").stat().st_mode) == 0o700
    assert stat.S_IMODE((run / "private" / FILE).stat().st_mode) == 0o600
    # Random weights say anything; what is longer than a word or two is nowhere else by chance.
    told = [answer for answer in answers if len(answer) > 5 and "don't know" not in answer]
    assert told
    others = [path for path in run.rglob("*") if path.is_file() and path.suffix in (".json", ".yaml", ".jsonl", "")]
    texts = {path: path.read_text(encoding="utf-8") for path in others if path.parent.name != "private"}
    assert any(path.name == "unlearning_state.json" for path in texts)
    assert not [(path, answer) for path, text in texts.items() for answer in told if answer in text]
    assert not [answer for answer in told if answer in caplog.text]
    assert any("makes up 5 other answers to each of 3 forget rows" in message for message in caplog.messages)


def test_what_is_taught_is_what_the_file_holds(make_trainer, text, tmp_path):
    trainer = make_trainer(**text, **OPTIONS, max_steps=1)
    trainer.train()
    decode = text["processing_class"].decode
    for line in made_up(tmp_path / "run"):
        for choice, answer in enumerate(line["answers"]):
            taught = trainer.alternates[line["row"], choice]
            labels = [label for label in taught["labels"] if label != -100]
            assert decode(labels, skip_special_tokens=True).strip() == answer.strip()
    # Of one row, with the model as it was: (2 / beta) ln 2, whatever is taught.
    assert steps(trainer)[0]["objective_forget"] == pytest.approx(20 * 0.6931472, rel=1e-5)


def test_a_new_run_makes_up_the_same_answers_and_one_that_goes_on_from_other_weights_makes_up_others(
    make_trainer, text, tmp_path
):
    model = text.pop("model")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    first = make_trainer(model, output=tmp_path / "first", **text, **OPTIONS, max_steps=1)
    first.train()
    found = made_up(tmp_path / "first")
    first.train()
    assert made_up(tmp_path / "first") != found
    model.load_state_dict(start)
    make_trainer(model, output=tmp_path / "again", **text, **OPTIONS, max_steps=1).train()
    assert made_up(tmp_path / "again") == found
    model.load_state_dict(start)
    make_trainer(model, output=tmp_path / "other", **text, **{**OPTIONS, "seed": 4}, max_steps=1).train()
    assert made_up(tmp_path / "other") != found


def test_a_resumed_run_is_the_same_to_the_bit_and_refuses_other_answers(make_trainer, text, tmp_path):
    options = {**OPTIONS, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 3}
    model = text.pop("model")
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = make_trainer(model, **text, **options)
    whole.train()
    expected, file = flat(whole.model), tmp_path / "run" / "private" / FILE
    checkpoint = str(checkpoint_folder(tmp_path / "run", 3))

    def resumed():
        model.load_state_dict(start)
        trainer = make_trainer(model, **text, **options)
        trainer.compared.sampled.draw = None
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    assert torch.equal(flat(resumed().model), expected)
    content = file.read_text()
    file.write_text(content.replace("\n", " \n"))
    with pytest.raises(InputError, match=rf"{FILE} does not hold the answers .* it has changed"):
        resumed()
    file.unlink()
    with pytest.raises(InputError, match=rf"{FILE} .* it cannot be read \(No such file"):
        resumed()


def test_rows_that_sample_nothing_are_refused(make_trainer, text, monkeypatch):
    """Of a task of the user's own."""
    from ngdiff.tasks import TextTask
    from ngdiff.tasks.alternates import AlternateRows

    def own(task):
        return AlternateRows(task._forget, [["no"]] * len(task._forget), task._encoder.encode_answers)

    monkeypatch.setattr(TextTask, "alternates", own)
    with pytest.raises(InputError, match="--forget-objective altpo teaches answers that the model samples"):
        make_trainer(**text, **OPTIONS)


def test_sharded_weights_are_refused(make_trainer, text, monkeypatch):
    monkeypatch.setattr(type(text["model"]), "is_distributed_loading_by_transformers", True, raising=False)
    with pytest.raises(InputError, match="--forget-objective altpo is not supported with sharded weights"):
        make_trainer(**text, **OPTIONS)
