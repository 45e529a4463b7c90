"""Whole runs with and without each saving of a forward pass: the same steps."""

import pytest
import torch

from ngdiff.errors import InputError
from ngdiff.speed import Forward

from .runs import CHECKPOINTING, FIXED, flat, inputs_of, same_run

# What a run on a CPU takes by itself; `fused_loss` is the head in memory that is used again.
SAVINGS = ("cut", "trailing_tokens", "packing", "row_attention", "fused_loss", "sparse_embedding")
METHODS = ("ngdiff", "npo+gdiff", "rmu(layer=2)", "undial+gdiff", "ga+klr")


@pytest.fixture(scope="module")
def with_all():
    """Method -> a trainer that has taken every saving."""
    return {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("saving", SAVINGS)
def test_a_run_without_a_saving_is_the_same(make_trainer, tiny_model, with_all, without, saving, method):
    options = {**FIXED, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2, "method": method}
    if method not in with_all:
        with_all[method] = make_trainer(**options)
        with_all[method].train()
    without(saving, *(("packing",) if saving == "row_attention" else ()))
    trainer = make_trainer(**options)
    trainer.train()
    same_run(trainer, with_all[method], flat(tiny_model()), 1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_the_plain_pass_is_the_same(make_trainer, tiny_model, method, checkpointing):
    trainers, seen = [], []
    for speed in ("auto", "off"):
        model = tiny_model()
        start, seen = flat(model), inputs_of(model)
        trainer = make_trainer(model, **FIXED, method=method, speed=speed, **{CHECKPOINTING: checkpointing})
        trainer.train()
        trainers.append(trainer)
    same_run(*trainers, start, 1e-4)
    assert all(inputs.keys() <= {"input_ids", "attention_mask", "use_cache", "output_hidden_states"} for inputs in seen)
    assert trainers[1].task.forward == Forward()


def test_a_run_on_a_cpu_takes_every_saving_and_leaves_none_behind(make_trainer, tiny_model):
    model, taken = tiny_model(), []
    trainer = make_trainer(model, **FIXED)
    check = trainer.task.check_forward

    def checked(model, batch):
        check(model, batch)
        taken.append(trainer.task.forward)

    trainer.task.check_forward = checked
    hooks = len(model.lm_head._forward_pre_hooks)
    trainer.train()
    (forward,) = taken
    assert all(getattr(forward, saving) != getattr(Forward(), saving) for saving in SAVINGS)
    assert len(model.lm_head._forward_pre_hooks) == hooks
    assert model.config._attn_implementation == "sdpa"
    assert trainer.task.forward.fused_loss is None, "its memory is gone"


def test_losses_after_a_run_are_those_of_a_new_trainer(make_trainer):
    trainer = make_trainer(**FIXED)
    trainer.train()
    found = trainer.mean_loss(trainer.retain_dataset)
    other = make_trainer(trainer.model, **FIXED, output=f"{trainer.args.output_dir}-other")
    assert found == pytest.approx(other.mean_loss(other.retain_dataset), rel=1e-6)


@pytest.mark.parametrize("asked", [{"packing": "on"}, {"fused_loss": "cce"}])
def test_what_contradicts_the_plain_pass_is_refused(make_trainer, asked):
    with pytest.raises(InputError, match="contradicts --speed off, the plain forward pass"):
        make_trainer(**asked, speed="off")


def test_a_bare_off_of_yaml_is_understood(make_trainer):
    assert make_trainer(speed=False).args.speed == "off"


# dynamo asks the hidden states that enter its second graph for their gradient
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_runs_are_those_of_the_plain_pass(make_trainer, tiny_model):
    """The hook in front of the head is there before the model is compiled."""
    torch._dynamo.reset()
    trainers = []
    for options in ({"torch_compile": True, "torch_compile_backend": "eager"}, {"speed": "off"}):
        model = tiny_model()
        start = flat(model)
        trainer = make_trainer(model, **FIXED, **options, max_steps=2)
        trainer.train()
        trainers.append(trainer)
    same_run(*trainers, start, 1e-4)
