"""What each option does to the parts of the peak."""

import logging

import pytest

from ngdiff.estimate.rehearsal import PROBE, RehearsalTrainer
from ngdiff.objectives import FORGET_OBJECTIVES
from ngdiff.weighting import WEIGHTINGS

FORGET, RETAIN, COMBINATION = "forget pass", "retain pass", "combination of the gradients"
FIXED = {"learning_rate": 1e-3}
# Others need rows of text: tests/end_to_end/test_dry_run.py.
ENCODED = sorted(name for name, one in FORGET_OBJECTIVES.items() if "alternate" not in one.needs)


def parts(found, moment):
    return found.peaks[moment].parts


@pytest.fixture
def plain(rehearse):
    return rehearse(**FIXED)


@pytest.fixture
def weights(plain):
    return parts(plain, FORGET)["weights"]


def test_adam_holds_two_gradients_and_twice_the_weights_and_nothing_else_is_left(plain, weights):
    assert parts(plain, COMBINATION)["gradients"] == pytest.approx(2 * weights, rel=0.01)
    assert plain.optimizer_state == pytest.approx(2 * weights, rel=0.01)
    left = plain.peaks["optimizer step"]
    assert left.total == pytest.approx(4 * weights, rel=0.05)  # 5 %: token ids and the rotary table of a tiny model


def test_the_other_side_waits_during_the_forget_pass_alone(plain, weights):
    first, second = (parts(plain, moment).get("gradients", 0) for moment in (RETAIN, FORGET))
    assert second - first == pytest.approx(weights, rel=0.05)


def test_one_buffer_holds_one_gradient(rehearse, weights):
    found = rehearse(gradient_buffers=1, **FIXED)
    assert parts(found, COMBINATION)["gradients"] == pytest.approx(weights, rel=0.01)


def test_a_gradient_that_waits_in_bfloat16_takes_half(rehearse, plain, weights):
    found = rehearse(stash_dtype="bfloat16", **FIXED)
    assert parts(plain, FORGET)["gradients"] - parts(found, FORGET)["gradients"] == pytest.approx(weights / 2, rel=0.01)


def test_a_gradient_that_waits_on_the_host_is_counted_there(rehearse, plain, weights):
    found = rehearse(stash_device="cpu", **FIXED)
    assert parts(found, FORGET)["host"] == pytest.approx(weights, rel=0.01)
    assert parts(plain, FORGET)["gradients"] - parts(found, FORGET)["gradients"] == pytest.approx(weights, rel=0.01)
    assert "host" not in parts(plain, FORGET)


def test_probes(rehearse, plain, weights):
    exact, lean, host = (
        rehearse(autolr_memory="exact"),
        rehearse(),
        rehearse(stash_device="cpu"),
    )
    # theta_0, d, and Adam's state after the first of the check's two steps, before which it has none.
    assert parts(exact, PROBE)["probe"] == pytest.approx(4 * weights, rel=0.05)
    # theta_0, in place of the forget gradient, which is gone.
    assert parts(lean, PROBE)["gradients"] == pytest.approx(weights, rel=0.01)
    assert parts(lean, PROBE)["probe"] == pytest.approx(weights, rel=0.05)
    assert parts(host, PROBE).get("probe", 0) < 0.05 * weights
    assert parts(host, PROBE)["host"] == pytest.approx(weights, rel=0.01)
    assert PROBE not in plain.peaks


def test_accumulation_keeps_both_gradients_during_all_passes(rehearse, weights):
    found = rehearse(gradient_accumulation_steps=8, **FIXED)
    assert parts(found, RETAIN)["gradients"] == pytest.approx(2 * weights, rel=0.01)


def test_checkpointing_trades_activations_for_operations(rehearse, plain, checkpointed):
    found = rehearse(**checkpointed, **FIXED)
    assert parts(found, RETAIN)["activations"] < 0.8 * parts(plain, RETAIN)["activations"]
    # The forward pass of all layers once more: three passes become four, but for the head.
    assert 1.2 < found.operations[RETAIN] / plain.operations[RETAIN] < 4 / 3


@pytest.mark.slow
def test_half_precision(rehearse, plain, weights):
    assert parts(rehearse(dtype="bfloat16", **FIXED), FORGET)["weights"] == pytest.approx(weights / 2, rel=0.01)
    masters = rehearse(bf16=True, **FIXED)
    assert parts(masters, FORGET)["weights"] == weights
    assert masters.peaks[FORGET].total != plain.peaks[FORGET].total


def test_an_adapter_makes_gradients_and_state_small(rehearse, weights):
    found = rehearse(lora_rank=2)
    assert parts(found, FORGET)["weights"] > weights
    assert sum(parts(found, PROBE).get(part, 0) for part in ("gradients", "optimizer state", "probe")) < weights


@pytest.mark.slow
def test_optimizers_keep_their_own_state(rehearse, weights):
    assert rehearse(optim="sgd", **FIXED).optimizer_state == 0
    assert rehearse(optimizer="prodigy").optimizer_state == pytest.approx(4 * weights, rel=0.01)


def test_an_objective_that_compares_holds_the_head_as_it_was(rehearse, plain):
    found = rehearse(retain_objective="kl", **FIXED)
    head = 96 * 32 * 4
    assert parts(found, RETAIN)["head before unlearning"] == head
    assert found.peaks[RETAIN].total > plain.peaks[RETAIN].total + head


@pytest.mark.slow
@pytest.mark.parametrize("objective", ENCODED)
def test_every_objective_can_be_rehearsed(objective, rehearse):
    found = rehearse(forget_objective=objective, **FIXED)
    assert found.operations[FORGET] > 0


@pytest.mark.slow
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_every_weighting_can_be_rehearsed(weighting, rehearse, plain):
    # One number more where Trainer takes the norm of the step: by entries, which the Gramian does not know.
    assert rehearse(weighting=weighting, **FIXED).peaks[FORGET].total == pytest.approx(
        plain.peaks[FORGET].total, rel=0, abs=4 if WEIGHTINGS[weighting].entries else 0
    )


def test_no_pass_over_all_rows(rehearse, monkeypatch):
    def losses(trainer):
        raise AssertionError("losses before the run were taken")

    monkeypatch.setattr(RehearsalTrainer, "losses", losses)
    assert rehearse(seed=7).operations[FORGET] > 0


@pytest.mark.parametrize(
    ("given", "moments"),
    [({"gradient_accumulation_steps": 2}, 11), ({"gradient_buffers": 1, **FIXED}, 7)],
)
def test_a_bar_shows_how_far_it_is(given, moments, rehearse, capsys):
    rehearse(show_progress=True, **given)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "forget pass" in last or "probe" in last
    assert f"{moments}/{moments}" in last


def test_nothing_is_written_or_said(rehearse, never, capsys, caplog):
    with caplog.at_level(logging.INFO):
        rehearse(eval_strategy="epoch", save_strategy="epoch", report_to="none")
    assert not never.exists()
    assert capsys.readouterr().out == ""
    assert caplog.text == ""
    assert logging.root.manager.disable == logging.NOTSET


def test_protected_rows_take_operations_and_the_head_before_unlearning(rehearse, plain):
    found = rehearse(protect=3, **FIXED)
    assert found.operations["retain pass"] > 1.1 * plain.operations["retain pass"]
    assert found.operations["forget pass"] == plain.operations["forget pass"]
    assert parts(found, FORGET)["head before unlearning"] > 0
