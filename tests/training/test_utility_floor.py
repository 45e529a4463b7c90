"""`--utility-floor`: which weights a run hands over."""

import copy
import json
import logging

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.training.evidence import save_with_evidence
from ngdiff.training.outcome import outcome_of
from ngdiff.training.utility_floor import why_too_low

from .runs import flat
from .test_quick_measure import FORGET, RETAIN, text  # noqa: F401  # a fixture

STEPS = 6


@pytest.fixture
def run(make_trainer, text, monkeypatch):  # noqa: F811
    """Makes a trainer whose measures find given Utilities: before, and after each step; notes the weights of each."""
    model = text.pop("model")

    def make(utilities, **options):
        trainer = make_trainer(
            copy.deepcopy(model),
            **{**text, "max_steps": STEPS, "eval_generate_steps": 1, "utility_floor": 0.9, "learning_rate": 1e-2}
            | options,
        )
        trainer.found = {}

        def measure(model):
            step = trainer.state.global_step
            trainer.found[step] = flat(model).clone()
            return {"verbmem": 0.5, "utility": utilities[step]}

        trainer.quick_measure = measure
        return trainer

    return make


def test_one_that_keeps_its_utility_is_handed_over_as_it_is(run):
    trainer = run([0.8, 0.8, 0.1, 0.1, 0.1, 0.1, 0.73])
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.found[STEPS])
    assert trainer.run_state.utility == {
        "before": 0.8, "least": pytest.approx(0.72), "kept_step": 6, "kept": 0.73, "last": 0.73
    }  # fmt: skip


def test_otherwise_the_last_weights_that_do_are_put_back(run, caplog):
    trainer = run([0.8, 0.9, 0.5, 0.8, 0.7, 0.6, 0.5])
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.found[3])
    assert not torch.equal(trainer.found[3], trainer.found[STEPS])
    assert (
        "Utility fell to 0.500, and --utility-floor asks for 0.720: the model of step 3 is handed over" in caplog.text
    )
    assert outcome_of(trainer).ruined == ""


def test_of_an_adapter_what_is_trained(run):
    from peft import LoraConfig

    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    trainer = run([0.8, 0.8, 0.8, 0.1, 0.1, 0.1, 0.1], peft_config=lora)
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.found[2])


def test_where_none_does_the_model_is_ruined(run, tmp_path):
    trainer = run([0.8, 0.7, 0.5, 0.5, 0.7, 0.6, 0.5])
    trainer.train()
    assert torch.equal(flat(trainer.model), trainer.found[STEPS])
    said = "its Utility fell from 0.800 to 0.500, and 0.720 is the least that is taken"
    assert outcome_of(trainer).ruined == said
    manifest = json.loads(save_with_evidence(trainer, tmp_path / "m").read_text())
    assert manifest["extra"]["ruined"] == said
    assert manifest["extra"]["utility_floor"]["last"] == 0.5


def test_the_last_step_is_measured_whenever_it_comes(run):
    trainer = run([1.0] * 4 + [0.95] + [1.0] + [0.2], eval_generate_steps=4)
    trainer.train()
    assert sorted(trainer.found) == [0, 4, STEPS]
    assert torch.equal(flat(trainer.model), trainer.found[4])


def test_measured_every_tenth_step_unless_said_otherwise(make_trainer, text):  # noqa: F811
    assert make_trainer(**text, utility_floor=0.5).args.measured_steps == 10
    assert make_trainer(**text).args.measured_steps == 0


@pytest.mark.parametrize("at", [2, 4])
def test_a_resumed_run_hands_over_the_same(run, tmp_path, at):
    """At step 2 the checkpoint's own weights are those that are kept, at step 4 others."""
    utilities = [0.8, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1]
    options = {"output": tmp_path, "save_strategy": "steps", "save_steps": 2, "save_total_limit": None}
    whole = run(utilities, **options)
    whole.train()
    assert torch.equal(flat(whole.model), whole.found[2])
    resumed = run(utilities, **options)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path, at)))
    assert torch.equal(flat(resumed.model), whole.found[2])
    assert resumed.run_state.utility == whole.run_state.utility
    done = run(utilities, **options)
    done.train(resume_from_checkpoint=True)
    assert done.nothing_left
    assert torch.equal(flat(done.model), whole.found[2])


def test_the_numbers_are_the_models(make_trainer, text, caplog):  # noqa: F811
    """With real answers: a model that learned the rows to keep keeps them, or is not handed over."""
    caplog.set_level(logging.INFO)
    learned = make_trainer(**text, method="gd", learning_rate=1e-2)
    learned.args.max_steps = 30
    learned.train()
    given = {**text, "model": learned.model}
    trainer = make_trainer(**given, method="ga", learning_rate=1e-2, forget_ceiling="none", utility_floor=0.9)
    trainer.args.max_steps = 20
    trainer.train()
    figures = trainer.run_state.utility
    assert figures["before"] > 0.3
    assert f"Utility before unlearning: {figures['before']:.3f}" in caplog.text
    assert figures["last"] < figures["least"]  # ascent alone destroys
    assert figures["kept_step"] or outcome_of(trainer).ruined


def test_what_it_cannot_be_used_with(make_trainer, run):
    with pytest.raises(InputError, match=r"--utility-floor 1\.5 is not"):
        make_trainer(utility_floor=1.5)
    with pytest.raises(InputError, match="--optimizer prodigy may hand over others"):
        make_trainer(utility_floor=0.9, optimizer="prodigy")
    with pytest.raises(InputError, match=r"--utility-floor 0\.9: Utility is 0 before unlearning"):
        run([0.0] * 7).train()


def test_why_it_is_too_low():
    kept = {"before": 0.8, "least": 0.72, "kept_step": 3, "kept": 0.75, "last": 0.5}
    assert why_too_low({}) == why_too_low(kept) == why_too_low({**kept, "kept_step": 0, "last": 0.72}) == ""
    assert why_too_low({**kept, "kept_step": 0}).startswith("its Utility fell from 0.800 to 0.500")
