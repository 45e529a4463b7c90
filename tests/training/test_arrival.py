"""A run that ends where its forget loss has come to its levels."""

import logging

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.training.arrival import MOST, Arrival


def taken(losses, least, level=1.0, steps=2):
    """Steps of a run whose passes have these losses."""
    arrival, step = Arrival(steps, least), 0
    for loss in losses:
        for _ in range(steps):
            step += 1
            arrival.see(step, loss, level)
            if step == (arrival.end or MOST * least * steps):
                return step, arrival
    return None, arrival


@pytest.mark.parametrize(
    ("arrives", "least", "passes"),
    [(1, 4, 4), (2, 4, 4), (3, 4, 5), (4, 4, 6), (6, 4, 9), (8, 4, 12), (9, 4, 14), (30, 4, 24), (1, 1, 2), (2, 1, 3)],
)
def test_half_as_many_passes_again_within_bounds(arrives, least, passes):
    step, arrival = taken([0.1] * (arrives - 1) + [0.81] * 40, least)
    assert step == 2 * passes
    assert arrival.arrived == (arrives if arrives <= passes else 0)


def test_a_pass_is_judged_by_its_mean():
    arrival = Arrival(2, 1)
    assert not arrival.see(1, 1.4, 1.0)
    assert not arrival.see(2, 0.1, 1.0)
    assert not arrival.see(3, 0.5, 1.0)
    assert arrival.see(4, 1.2, 1.0)
    again = Arrival(2, 1)
    again.resume(arrival.state())
    assert again == arrival


@pytest.fixture
def options(base_model, random_rows):
    return {"method": "auto", "base_model": base_model(), "holdout_dataset": random_rows(6, 5)}


def end_at_once(monkeypatch):
    """As if every loss had come to its level."""
    monkeypatch.setattr("ngdiff.training.levels.Levels.mean", lambda self: 0.0)


def test_a_run_ends_half_as_many_passes_after_it_has_arrived(make_trainer, options, monkeypatch, caplog):
    end_at_once(monkeypatch)
    trainer = make_trainer(num_train_epochs=1, **options)
    with caplog.at_level(logging.INFO, logger="ngdiff.training.arriving"):
        trainer.train()
    assert trainer.state.global_step == 6  # three steps a pass: one pass, and half a one again, taken whole
    assert "The run ends after step 6" in caplog.text
    assert trainer.args.num_train_epochs == 1


def test_after_the_arrival_no_probe_raises_the_rate(make_trainer, options, monkeypatch):
    end_at_once(monkeypatch)
    monkeypatch.setattr("ngdiff.core.parabola.Parabola.minimum", property(lambda fit: 16.0 * fit.rho))
    monkeypatch.setattr("ngdiff.core.parabola.Parabola.is_resolved", lambda fit, noise: True)
    monkeypatch.setattr("ngdiff.core.parabola.Parabola.is_bowl", property(lambda fit: True))
    trainer = make_trainer(num_train_epochs=1, autolr_interval=1, autolr_search=False, **options)
    trainer.train()
    changes = [probe["after"] / probe["before"] for probe in trainer.run_state.probes]
    assert changes == pytest.approx([2.0] * 3 + [1.0] * 3)  # the first pass arrives


def test_a_run_that_does_not_arrive_takes_six_times_as_many_passes(make_trainer, options, monkeypatch):
    monkeypatch.setattr("ngdiff.training.levels.Levels.mean", lambda self: 1e6)
    trainer = make_trainer(num_train_epochs=1, **options)
    trainer.train()
    assert trainer.state.global_step == 18


@pytest.mark.parametrize("given", [{"stop": "passes", "num_train_epochs": 2}, {"max_steps": 6}])
def test_a_length_that_is_given_is_kept(make_trainer, options, monkeypatch, given):
    end_at_once(monkeypatch)
    trainer = make_trainer(**{"num_train_epochs": 1, **given}, **options)
    trainer.train()
    assert trainer.state.global_step == 6


def test_a_run_resumed_before_at_and_after_its_arrival_ends_alike(make_trainer, options, monkeypatch, tmp_path):
    end_at_once(monkeypatch)
    options |= {"num_train_epochs": 1, "save_strategy": "steps", "save_steps": 1, "save_total_limit": None}
    whole = make_trainer(output=tmp_path / "whole", **options)
    whole.train()
    for step in (2, 3, 5, 6):
        again = make_trainer(output=tmp_path / "whole", **options)
        again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "whole", step)))
        assert again.state.global_step == 6
        for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stop": "soon"}, "--stop soon is not known; one of auto, passes, arrived"),
        ({"stop": "arrived", "max_steps": 3}, "--stop arrived with --max-steps 3"),
        ({"stop": "arrived", "method": "npo"}, "--stop arrived: the forget objective npo has no levels"),
    ],
)
def test_ends_that_cannot_be(make_trainer, given, message):
    with pytest.raises(InputError, match=message):
        make_trainer(**given)
