"""`train` called again on one trainer: what is found out before and within a run is that run's own."""

import copy

import torch


def test_it_is_as_one_of_a_new_trainer(make_trainer):
    # Without a state of the optimizer, which a trainer keeps, as that of transformers does.
    options = {"method": "ce+gradnorm", "num_train_epochs": 2, "optim": "sgd", "learning_rate": 0.01}
    trainer = make_trainer(**options)
    trainer.train()
    first = dict(trainer.run_state.initial_losses)
    other = make_trainer(copy.deepcopy(trainer.model), **options)
    trainer.train()
    other.train()
    assert trainer.run_state.initial_losses == other.run_state.initial_losses != first
    assert trainer.run_state.weighting == other.run_state.weighting
    expected = dict(other.model.named_parameters())
    assert all(torch.equal(weight, expected[name]) for name, weight in trainer.model.named_parameters())


def test_the_learning_rate_is_searched_for_anew(make_trainer):
    trainer = make_trainer(num_train_epochs=1, autolr_interval=2)
    trainer.train()
    first = trainer.run_state.probes
    trainer.train()
    second = trainer.run_state.probes
    assert [probe["step"] for probe in second] == [probe["step"] for probe in first]
    assert len(second[0]["fits"]) > 2  # a search
