"""Every weighting in the trainer, and that one with a state, or with draws of chance, resumes exactly."""

import copy
import json

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.weighting import WEIGHTINGS


@pytest.mark.parametrize("method", WEIGHTINGS)
@pytest.mark.parametrize("learning_rate", [1e-3, "auto"])
def test_every_weighting_trains(make_trainer, method, learning_rate):
    trainer = make_trainer(method=method, learning_rate=learning_rate, autolr_interval=2)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.train()
    after = trainer.model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert any(not torch.equal(after[key], before[key]) for key in after)


@pytest.mark.parametrize("method", ["gradnorm", "rlw", "pdu(lr=0.05)"])
@pytest.mark.parametrize("learning_rate", [1e-3, "auto"])
def test_a_resumed_run_goes_on_bit_for_bit(make_trainer, tmp_path, method, learning_rate):
    options = {
        "method": method,
        "learning_rate": learning_rate,
        "autolr_interval": 3,
        "num_train_epochs": 3,
        "save_strategy": "steps",
        "save_steps": 4,
        "save_total_limit": None,
        "output": tmp_path / "run",
    }
    whole = make_trainer(**options)
    whole.train()
    resumed = make_trainer(**options)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "run", 4)))

    weights = [
        [line["weight_retain"] for line in t.state.log_history if "weight_retain" in line] for t in (whole, resumed)
    ]
    assert weights[0] == weights[1]
    assert len(set(weights[0])) == 9
    assert resumed.run_state.weighting == whole.run_state.weighting
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
    stored = json.loads((checkpoint_folder(tmp_path / "run", 4) / "unlearning_state.json").read_text(encoding="utf-8"))
    kept = {"gradnorm": {"initial", "weights"}, "pdu(lr=0.05)": {"epsilon", "dual"}, "rlw": set()}
    assert set(stored["weighting"]) == kept[method]
