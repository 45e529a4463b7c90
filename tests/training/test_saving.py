"""What a training run writes beside its model, and when."""

import pytest
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback

from ngdiff.training import saving
from ngdiff.training.saving import SavingTrainer


class Other(TrainerCallback):
    """A callback of a command, such as the one that empties the folder."""


class Events(TensorBoardCallback):
    """Without the package that it needs."""

    def __init__(self, logging_dir: str | None = None) -> None:
        self.tb_writer, self.logging_dir = None, logging_dir


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_trackers_come_last_and_write_into_the_report(tiny_model, tmp_path, monkeypatch, given):
    monkeypatch.setattr(saving, "get_reporting_integration_callbacks", lambda names: [Events])
    events, other = Events(given), Other()
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    trainer = SavingTrainer(tiny_model(), args, callbacks=[events, other])
    callbacks = trainer.callback_handler.callbacks
    assert callbacks.index(other) < callbacks.index(events)
    if given is None:
        assert events.logging_dir.startswith(str(tmp_path / "report" / "runs"))
    else:
        assert events.logging_dir == given
