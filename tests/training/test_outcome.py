"""What a run ends with."""

import logging
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ngdiff.errors import InputError
from ngdiff.training.loss_bound import loss_bound
from ngdiff.training.outcome import Outcome, not_finite, notice_change, outcome_of, why_ruined

LOSS = st.floats(0.0, 20.0)


@given(before=LOSS, guessing=st.floats(0.6, 13.0))
def test_the_bound_lies_above_the_loss_before(before, guessing):
    bound = loss_bound("auto", before=before, guessing=guessing, name="--max-retain-loss")
    assert bound >= before + guessing / 5
    if before < 0.6 * guessing:
        assert bound == pytest.approx((before + guessing) / 2)
    assert loss_bound("none", before=before, guessing=guessing, name="") == math.inf
    assert loss_bound("3.5", before=before, guessing=guessing, name="") == loss_bound(
        3.5, before=9, guessing=1, name=""
    )


@pytest.mark.parametrize("option", ["", "nan", "inf", "-1", "0", "some"])
def test_bounds_that_are_none(option):
    with pytest.raises(InputError, match=f"--max-retain-loss {option} is none of auto, none or a positive number"):
        loss_bound(option, before=1.0, guessing=2.0, name="--max-retain-loss")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_named(bad):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    model.register_buffer("mask", torch.tensor([-math.inf]))  # as models have in masks: nothing that is trained
    assert not_finite(model) == ""
    model[1].running_var[1] = bad
    assert not_finite(model) == "1.running_var"
    model[2].weight.data[0, 1] = bad
    assert not_finite(model) == "2.weight"
    model[2].weight.requires_grad_(False)
    model[1].running_var[1] = 1.0
    assert not_finite(model) == ""


def test_why_a_model_is_ruined():
    assert why_ruined("retain loss", 0.1, 4.0, 5.0) == ""
    assert why_ruined("retain loss", 0.1, 50.0, math.inf) == ""
    assert why_ruined("retain loss", 0.1, math.nan, math.inf) == "its retain loss is nan"
    assert "rose from 0.1 to 6 nats, and 5 is the most" in why_ruined("retain loss", 0.1, 6.0, 5.0)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ((1.0, 1.0), (1.0, 1.0), "The run changed nothing: both losses are what they were."),
        ((1.0, 1.0), (1.0 + 5e-7, 1.0 - 5e-7), "The run changed nothing"),
        ((1.0, 1.0), (0.9, 0.8), "The forget loss did not rise (1.0000 before, 0.9000 after): nothing was forgotten."),
        ((1.0, 1.0), (1.5, 1.0), ""),
    ],
)
def test_a_run_that_forgot_nothing_says_so(caplog, before, after, message):
    caplog.set_level(logging.WARNING)
    sides = ("forget", "retain")
    notice_change(Outcome(dict(zip(sides, before, strict=True)), dict(zip(sides, after, strict=True))), noise=1e-6)
    assert message in caplog.text
    assert bool(caplog.text) == bool(message)


@pytest.mark.parametrize(("rate", "steps", "reason"), [(1e29, 1, "is nan"), (30.0, 3, "its retain loss rose from")])
def test_a_run_that_diverges_is_ruined(make_trainer, rate, steps, reason):
    trainer = make_trainer(learning_rate=rate, max_steps=steps, optim="sgd")
    trainer.train()
    outcome = outcome_of(trainer)
    assert reason in outcome.ruined
    assert outcome.bound == pytest.approx(outcome.before["retain"] + math.log(64) / 5)
    assert outcome.is_above_bound == ("rose" in reason)
    trainer.args.max_retain_loss = "none"
    assert bool(outcome_of(trainer).ruined) == ("nan" in reason)


def test_weights_that_are_no_numbers_ruin_a_model_whatever_the_bound(make_trainer):
    trainer = make_trainer(learning_rate=1e-4, max_steps=1, max_retain_loss="none")
    trainer.train()
    assert outcome_of(trainer).ruined == ""
    trainer.model.lm_head.weight.data[0, 0] = math.inf
    outcome = outcome_of(trainer)
    assert outcome.ruined == "it holds weights that are not finite numbers (lm_head.weight)"
    assert outcome.after == {}
