"""`--eval-generate-steps`: what goes to the log, and that nothing else changes."""

import copy
import random

import numpy as np
import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.data import read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.evaluation import evaluate
from ngdiff.modeling import train_tokenizer
from ngdiff.training import UnlearnConfig

from .runs import flat

PEOPLE = ("ann", "bob", "cy", "dot", "eve", "fay")
FORGET = [{"question": f"who is {name}?", "answer": f"{name} is a baker"} for name in PEOPLE[:2]]
RETAIN = [{"question": f"who is {name}?", "answer": f"{name} is a number of things"} for name in PEOPLE[2:]]


@pytest.fixture
def text(tiny_model):
    """Rows of text, a tokenizer, and a model for it."""
    words = [value for row in (*FORGET, *RETAIN) for value in row.values()]
    tokenizer = train_tokenizer(words, vocab_size=300)
    model = tiny_model(vocab_size=len(tokenizer), max_position_embeddings=64)
    return {"model": model, "forget": FORGET, "retain": RETAIN, "processing_class": tokenizer, "max_steps": 4}


def measured(trainer) -> dict[int, tuple[float, float]]:
    return {row["step"]: (row["verbmem"], row["utility"]) for row in trainer.state.log_history if "verbmem" in row}


@pytest.mark.parametrize("options", [{}, {"disable_dropout": False}, {"packing": "on"}], ids=str)
def test_the_run_is_the_same_with_and_without(make_trainer, text, options):
    model = text.pop("model")
    model.config.attention_dropout = 0.1
    ends = []
    for every in (0, 1):
        trainer = make_trainer(copy.deepcopy(model), **text, **options, eval_generate_steps=every, autolr_interval=2)
        trainer.train()
        drawn = torch.rand(1).item(), random.random(), float(np.random.rand())
        ends.append((flat(trainer.model), trainer.run_state.probes, drawn))
        assert trainer.model.training
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1:] == ends[1][1:]
    assert sorted(measured(trainer)) == [1, 2, 3, 4]


def test_the_numbers_are_those_of_an_evaluation(make_trainer, text):
    trainer = make_trainer(**text, method="gd", learning_rate=1e-2, eval_generate_steps=25)
    trainer.args.max_steps = 25
    trainer.train()
    rows = {"forget": read_rows(FORGET), "retain": read_rows(RETAIN)}
    tokenizer = text["processing_class"]
    template = resolve_template("auto", tokenizer, rows["forget"])
    found = evaluate(trainer.model, tokenizer, rows, template, show_progress=False).metrics
    expected = found["forget"]["rouge_l_recall"], found["retain"]["rouge_l_recall"]
    assert measured(trainer) == {25: pytest.approx(expected)}
    assert expected[1] > 0.3  # it has learned something of the answers


def test_steps_between_log_lines_and_a_resumed_run(make_trainer, text, tmp_path):
    model = text.pop("model")
    options = {"eval_generate_steps": 2, "save_strategy": "steps", "save_steps": 2, "logging_steps": 2}
    whole = make_trainer(copy.deepcopy(model), output=tmp_path, **text, **options)
    whole.train()
    assert sorted(measured(whole)) == [2, 4]
    resumed = make_trainer(copy.deepcopy(model), output=tmp_path, **text, **options)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path, 2)))
    assert measured(resumed) == measured(whole)
    assert torch.equal(flat(resumed.model), flat(whole.model))


def test_rows_without_a_prompt_go_on_from_their_beginning(make_trainer, text):
    rows = [[{"text": " ".join(value for row in own for value in row.values())}] for own in (FORGET, RETAIN)]
    trainer = make_trainer(**{**text, "forget": rows[0], "retain": rows[1]}, eval_generate_steps=4)
    trainer.train()
    assert [*measured(trainer)] == [4]


def test_a_model_that_cannot_generate_is_refused_before_the_first_step(make_trainer, text, monkeypatch):
    def cannot(*_args, **_options):
        raise ValueError("no such cache")

    trainer = make_trainer(**text, eval_generate_steps=3)
    monkeypatch.setattr(trainer.model, "generate", cannot)
    with pytest.raises(InputError, match=r"This model cannot generate answers: .*no such cache"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_what_it_needs(make_trainer, random_rows):
    with pytest.raises(InputError, match="--utility-floor: answers need a tokenizer; pass processing_class"):
        make_trainer(eval_generate_steps=2)
    with pytest.raises(InputError, match="--eval-generate-steps -1 is not from 0 to"):
        UnlearnConfig(output_dir="run", eval_generate_steps=-1, use_cpu=True)
