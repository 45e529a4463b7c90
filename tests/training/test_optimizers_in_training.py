"""Optimizers of `--optimizer` in the step of two gradients."""

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.training.optimizers import OPTIMIZERS, step_rate

from .runs import flat, steps

for _library in ("prodigyopt", "dadaptation", "schedulefree"):
    pytest.importorskip(_library, reason="needs the optimizers extra")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_trains_without_a_probe_and_logs_the_rate_of_its_step(make_trainer, name):
    trainer = make_trainer(optimizer=name, num_train_epochs=2)
    before = flat(trainer.model)
    trainer.train()
    assert not torch.equal(before, flat(trainer.model))
    assert trainer.run_state.probes == []
    assert not trainer.args.autolr
    assert steps(trainer)[-1]["learning_rate"] > 0
    inner = trainer.optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
    assert step_rate(name, inner) > 0


@pytest.mark.parametrize("name", [name for name, row in OPTIMIZERS.items() if row.averages])
def test_the_model_holds_the_average_when_a_run_ends(make_trainer, name):
    trainer = make_trainer(optimizer=name, learning_rate=1e-2, num_train_epochs=2)
    trainer.train()
    averaged = flat(trainer.model)
    trainer.optimizer.train()
    assert not torch.equal(flat(trainer.model), averaged)
    trainer.use_averaged_weights()
    torch.testing.assert_close(flat(trainer.model), averaged)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_is_the_same_to_the_bit(make_trainer, tiny_model, tmp_path, name):
    options = {"optimizer": name, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 2}
    whole = make_trainer(output=tmp_path / "run", **options)
    whole.train()
    again = make_trainer(tiny_model(), output=tmp_path / "run", **options)
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "run", 4)))
    assert torch.equal(flat(again.model), flat(whole.model))
