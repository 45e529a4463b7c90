"""What a run says and shows while it prepares its first step, which may take minutes."""

import io
import logging
import sys

import pytest

from ngdiff.data import progress

CHECK = "Checking the forward pass of the model on the first 3 rows to forget ..."
SEARCH = "Searching for the learning rate along step 1 ..."


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch) -> Terminal:
    """A terminal in place of standard error, on which every bar is drawn at once."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    return screen


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff.")]


def test_each_slow_part_is_announced_once(make_trainer, caplog):
    trainer = make_trainer(max_steps=3, per_device_train_batch_size=3, autolr_interval=2)
    with caplog.at_level(logging.INFO):
        trainer.train()
    assert len(trainer.run_state.probes) == 2
    messages = said(caplog)
    assert messages.count(CHECK) == messages.count(SEARCH) == 1
    before = next(i for i, text in enumerate(messages) if text.startswith("Before unlearning: "))
    assert messages.index(CHECK) < before < messages.index(SEARCH)


def test_nothing_is_searched_for_with_a_fixed_rate(make_trainer, caplog):
    with caplog.at_level(logging.INFO):
        make_trainer(max_steps=1, learning_rate=1e-3).train()
    assert SEARCH not in said(caplog)


@pytest.mark.parametrize("disabled", [False, True])
def test_bars_count_passes_and_losses(make_trainer, monkeypatch, disabled):
    screen = terminal(monkeypatch)
    options = {"max_steps": 1, "forget_objective": "npo", "disable_tqdm": disabled}
    trainer = make_trainer(**options)
    trainer.train()
    shown = screen.getvalue()
    assert ("checking the forward pass: " in shown) is not disabled
    assert ("forget rows before unlearning: " in shown) is not disabled
    (probe,) = trainer.run_state.probes
    assert (f"searching for the learning rate: {probe['forwards']}loss" in shown) is not disabled


def test_a_bar_counts_the_losses_of_single_tokens(make_trainer, monkeypatch):
    screen = terminal(monkeypatch)
    trainer = make_trainer(disable_tqdm=False)
    trainer.token_losses(trainer.forget_dataset)
    assert "loss of each token: " in screen.getvalue()
