"""Low precision, recomputed activations, compiled models, frozen bases: runs go on and probes still see something."""

import copy

import pytest
import torch
from peft import LoraConfig

from ngdiff.core import Parabola
from ngdiff.errors import InputError

from .runs import CHECKPOINTING, flat, steps


def resolved(trainer) -> bool:
    """Whether a probe saw a parabola stand out of the rounding of its losses."""
    noise = trainer.autolr.settings.noise
    fits = [Parabola(**fit) for probe in trainer.run_state.probes for fit in probe["fits"]]
    return any(fit.is_finite and fit.is_resolved(noise * fit.here) for fit in fits)


def test_bf16_keeps_fp32_weights(make_trainer):
    trainer = make_trainer(bf16=True, learning_rate="auto", autolr_interval=2, num_train_epochs=2)
    start = flat(trainer.model).clone()
    trainer.train()
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert resolved(trainer)
    assert trainer.autolr.settings.noise > 1e-4
    assert not torch.equal(flat(trainer.model), start)


def test_mixed_precision_of_a_launch_file_counts_as_the_option(make_trainer, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert make_trainer().autolr.settings.noise > 1e-4
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(InputError, match=r"fp16 is not supported.*use bf16"):
        make_trainer()


@pytest.mark.parametrize(("here", "count"), [(True, 0), (None, 0), (False, 1)])
def test_a_cpu_without_bf16_is_named(make_trainer, monkeypatch, caplog, here, count):
    monkeypatch.setattr("ngdiff.training.check_inherited.computes_bfloat16", lambda: here)
    make_trainer(bf16=True)
    assert caplog.text.count("--bf16: this CPU has no instructions for bfloat16") == count
    make_trainer()
    assert caplog.text.count("--bf16: this CPU has no instructions for bfloat16") == count


@pytest.mark.parametrize("options", [{}, {CHECKPOINTING: True}, {"bf16": True}], ids=["plain", "checkpointing", "bf16"])
def test_an_adapter_in_fp32_on_a_frozen_bf16_base(make_trainer, tiny_model, options):
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    base = tiny_model().to(torch.bfloat16)
    before = copy.deepcopy(base.state_dict())
    trainer = make_trainer(base, peft_config=lora, learning_rate="auto", autolr_interval=2, **options)
    trainer.train()
    trained = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32}
    assert all("lora_" in name for name in trained)
    assert any(bool(p.detach().any()) for name, p in trained.items() if "lora_B" in name)  # zero at the start
    for name, p in trainer.model.named_parameters():
        if not p.requires_grad:
            plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
            assert p.dtype == torch.bfloat16
            assert torch.equal(p, before[plain]), name
    assert resolved(trainer)
    assert len(steps(trainer)) == 3


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # the tracer looks at it
@pytest.mark.slow
def test_a_compiled_model_says_the_same(make_trainer):
    losses, cosines = [], []
    for compiled in (False, True):
        torch._dynamo.reset()
        # The `eager` backend traces and guards as any other does, and needs no compiler.
        extra = {"torch_compile": True, "torch_compile_backend": "eager"} if compiled else {}
        trainer = make_trainer(learning_rate="auto", autolr_interval=2, max_steps=3, **extra)
        trainer.train()
        losses.append([row[key] for row in steps(trainer) for key in ("loss_forget", "loss_retain")])
        cosines.append([row["cosine"] for row in steps(trainer)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # The rounding of a cosine is a part of 1, however small it is itself.
    assert cosines[0] == pytest.approx(cosines[1], rel=1e-5, abs=torch.finfo(torch.float32).eps)
