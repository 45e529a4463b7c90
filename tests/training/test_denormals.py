"""Numbers next to 0 while a model is trained."""

import sys

import pytest
import torch
from transformers import TrainerCallback

from ngdiff.cli import unlearn
from ngdiff.cli.tasks import TASKS
from ngdiff.errors import InputError
from ngdiff.speed.cpu.denormals import denormals_are_zero

pytestmark = pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor does not take denormal numbers for 0"
)


def test_they_are_zero_within_and_kept_outside():
    with denormals_are_zero():
        assert sys.float_info.min / 2 == 0.0
        assert (torch.full((3,), 2.0**-64) * 2.0**-70).tolist() == [0.0] * 3
    assert sys.float_info.min / 2 > 0.0
    assert (torch.full((3,), 2.0**-64) * 2.0**-70).tolist() == [2.0**-134] * 3


def test_who_takes_them_for_zero_already_goes_on_so():
    torch.set_flush_denormal(True)
    try:
        with denormals_are_zero():
            pass
        assert sys.float_info.min / 2 == 0.0
    finally:
        torch.set_flush_denormal(False)


def test_they_are_kept_again_after_an_error():
    with pytest.raises(ValueError, match="within"), denormals_are_zero():
        raise ValueError("within")
    assert sys.float_info.min / 2 > 0.0


def test_they_are_zero_in_training_alone(make_trainer):
    seen = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen.append(sys.float_info.min / 2)

    make_trainer(callbacks=[Look()], max_steps=2).train()
    assert seen == [0.0, 0.0]
    assert sys.float_info.min / 2 > 0.0


@pytest.mark.parametrize("task", ["text", "image"])
def test_a_command_takes_them_for_zero_before_torch_starts_threads(task, monkeypatch, tmp_path):
    seen = []

    def look(values, output):
        seen.append(sys.float_info.min / 2)
        raise InputError("seen")

    monkeypatch.setattr(TASKS[task].unlearn, "trainer_config", staticmethod(look))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "Who?", "answer": "Orla."}\n')
    data = {
        "text": ["--forget", str(rows), "--retain", str(rows)],
        "image": ["--dataset", "cifar10", "--forget-class", "dog"],
    }
    with pytest.raises(InputError, match="seen"):
        unlearn.run(["--task", task, "--model", "m", *data[task], "--output", str(tmp_path / "out")])
    assert seen == [0.0]
