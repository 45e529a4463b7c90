"""The base under an adapter is part of a run, and no checkpoint holds it."""

import pytest
import torch
from peft import LoraConfig

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.modeling.adapter import add_adapter
from ngdiff.training.adapter_base import base_identity

ADAPTER = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_identity(tiny_model, dtype):
    assert base_identity(tiny_model()) == ""
    found = base_identity(add_adapter(tiny_model().to(dtype), ADAPTER, seed=0))
    assert found == base_identity(add_adapter(tiny_model().to(dtype), ADAPTER, seed=1))  # another adapter
    assert found != base_identity(add_adapter(tiny_model(seed=1).to(dtype), ADAPTER, seed=0))
    model = tiny_model().to(dtype)
    with torch.no_grad():
        model.model.embed_tokens.weight[3, 5] *= 1.01  # one number of them all
    assert found != base_identity(add_adapter(model, ADAPTER, seed=0))


@pytest.mark.parametrize("method", ["ngdiff", "npo"])
def test_a_run_does_not_go_on_on_another_base(make_trainer, tiny_model, tmp_path, method):
    options = {"method": method, "save_strategy": "steps", "save_steps": 1, "peft_config": ADAPTER}
    whole = make_trainer(**options)
    whole.train()
    checkpoint = str(checkpoint_folder(tmp_path / "run", 2))
    with pytest.raises(InputError, match=r"checkpoint-2 holds an adapter that was trained on another base model"):
        make_trainer(tiny_model(seed=1), **options).train(resume_from_checkpoint=checkpoint)
    again = make_trainer(**options)
    again.train(resume_from_checkpoint=checkpoint)
    expected = {name: weight for name, weight in whole.model.named_parameters() if weight.requires_grad}
    found = {name: weight for name, weight in again.model.named_parameters() if weight.requires_grad}
    assert all(torch.equal(found[name], expected[name]) for name in expected)
