"""A step that diverges is undone bit for bit, the rate is lowered, and a resumed run goes the same way."""

import math

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError

from .runs import flat, steps

# Far too long a step, by a schedule that a rate can be changed under.
WILD = {"on_divergence": "rollback", "optim": "sgd", "learning_rate": 300.0, "max_retain_loss": "6"}


class Weights:
    """The weights after each step, and the optimizer's state."""

    def __init__(self, trainer):
        self.found = [flat(trainer.model).clone()]
        self.states = []
        check = trainer.check_step

        def checked():
            check()
            self.found.append(flat(trainer.model).clone())
            self.states.append([v.clone() for s in trainer.bare_optimizer.state.values() for v in s.values()])

        trainer.check_step = checked


@pytest.mark.parametrize("optimizer", ["sgd", "adamw_torch"])
def test_a_step_that_diverges_is_undone_bit_for_bit(make_trainer, tiny_model, optimizer, caplog):
    trainer = make_trainer(tiny_model().double(), **{**WILD, "optim": optimizer}, num_train_epochs=3)
    seen = Weights(trainer)
    trainer.train()
    undone = [one["step"] for one in trainer.run_state.undone]
    assert undone[0] == 1
    for step in range(1, len(seen.found)):
        assert torch.equal(seen.found[step], seen.found[step - 1]) == (step in undone)
    if optimizer == "adamw_torch":
        assert seen.states[0] == []  # before the first step there was none
    rates = [row["learning_rate"] for row in steps(trainer)]
    assert trainer.rate == pytest.approx(WILD["learning_rate"] / 4 ** len(undone))
    assert rates[0] == WILD["learning_rate"]
    assert [row["step"] for row in steps(trainer) if row.get("undone")] == undone
    assert "Step 1 is undone: its retain loss" in caplog.text


def test_a_rate_that_fits_is_left_alone(make_trainer):
    plain, kept = (
        make_trainer(optim="sgd", learning_rate=1e-2, on_divergence=what) for what in ("stop", "rollback")
    )  # fmt: skip
    plain.train()
    kept.train()
    assert kept.run_state.undone == []
    assert torch.equal(flat(plain.model), flat(kept.model))


def test_the_loss_after_a_step_is_that_of_its_own_rows(make_trainer, monkeypatch):
    monkeypatch.setattr("ngdiff.training.rollback.why_ruined", lambda *losses: "told to")
    trainer = make_trainer(**{**WILD, "learning_rate": 1e-12, "gradient_accumulation_steps": 2}, num_train_epochs=2)
    trainer.train()
    assert len(trainer.run_state.undone) == 4
    for one in trainer.run_state.undone:
        assert one["loss"] == pytest.approx(one["loss_before"], rel=1e-5)


@pytest.mark.parametrize("memory", ["exact", "lean"])
def test_a_step_that_a_probe_has_taken_is_undone_too(make_trainer, memory):
    options = {"learning_rate": "auto:1e3", "autolr_search": False, "autolr_interval": 1, "autolr_memory": memory}
    trainer = make_trainer(**{**WILD, **options}, autolr_max_change=1.01, autolr_widen=False, num_train_epochs=2)
    seen = Weights(trainer)
    trainer.train()
    undone = [one["step"] for one in trainer.run_state.undone]
    assert undone
    assert all(torch.equal(seen.found[step], seen.found[step - 1]) for step in undone)


def test_a_weight_that_is_not_finite_is_undone(make_trainer):
    trainer = make_trainer(**{**WILD, "learning_rate": 1e-2, "max_retain_loss": "none"})
    step, number = trainer.create_optimizer().step, iter(range(9))

    def broken(*args, **kwargs):
        step(*args, **kwargs)
        if next(number) == 1:
            with torch.no_grad():
                next(trainer.model.parameters())[0, 0] = math.inf

    trainer.optimizer.step = broken
    trainer.train()
    assert [(one["step"], one["why"]) for one in trainer.run_state.undone] == [(2, "a weight is not finite")]
    assert torch.isfinite(flat(trainer.model)).all()


def test_it_gives_up_after_eight(make_trainer, monkeypatch):
    monkeypatch.setattr("ngdiff.training.rollback.why_ruined", lambda *losses: "told to")
    trainer = make_trainer(**WILD, num_train_epochs=5)
    start = flat(trainer.model).clone()
    with pytest.raises(FloatingPointError, match=r"step 9: told to.*8 steps before it"):
        trainer.train()
    assert torch.equal(flat(trainer.model), start)


def test_a_resumed_run_is_the_whole_one(make_trainer, tmp_path):
    options = {**WILD, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 2, "save_total_limit": None}
    whole = make_trainer(**options, output=tmp_path / "whole")
    whole.train()
    assert {one["step"] for one in whole.run_state.undone} & {1, 2}
    part = make_trainer(**options, output=tmp_path / "whole")
    part.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "whole", 2)))
    assert torch.equal(flat(part.model), flat(whole.model))
    assert part.run_state.undone == whole.run_state.undone
    assert steps(part) == steps(whole)


def test_what_it_cannot_be_used_with(make_trainer):
    with pytest.raises(InputError, match="--on-divergence retry"):
        make_trainer(on_divergence="retry")
    with pytest.raises(InputError, match="--optimizer prodigy finds its own step"):
        make_trainer(on_divergence="rollback", optimizer="prodigy")
