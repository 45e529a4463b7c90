"""Runs that keep the embedding's gradient as rows end where those with a whole one do."""

import copy
import gc
import weakref
from contextlib import contextmanager

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback

from .conftest import VOCABULARY
from .runs import CHECKPOINTING, distance, first_gradient, flat, steps


def gpt2() -> GPT2LMHeadModel:
    """With an output head that is tied to the embedding."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2
        )
    )


def sparse_after_passes(trainer) -> list[bool]:
    """Of each pass that is to come: whether the gradient of the embedding, as far as it is summed, is sparse."""
    seen = []

    @contextmanager
    def look(moment):
        yield
        if moment in ("retain pass", "forget pass"):
            seen.append(trainer.model.get_input_embeddings().weight.grad.is_sparse)

    trainer.observe = look
    return seen


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("llama", {}),
        ("llama", {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 2, "learning_rate": 1e-3}),
        ("llama", {"autolr_memory": "exact", "max_grad_norm": 0.5}),
        ("llama", {"method": "npo+ngdiff", "optim": "sgd", "learning_rate": 1e-2}),
        ("llama", {"weighting": "gd", "packing": "off", "learning_rate": 1e-3}),
        ("llama", {CHECKPOINTING: True, "learning_rate": 1e-3}),
        ("gpt2, tied", {"learning_rate": 1e-3}),
    ],
)
def test_a_run_ends_where_one_with_whole_gradients_ends(make_trainer, tiny_model, without, name, options):
    ends = []
    for rows in (True, False):
        if not rows:
            without("sparse_embedding")
        model = gpt2() if "gpt2" in name else tiny_model()
        trainer = make_trainer(model, num_train_epochs=2, autolr_interval=3, **options)
        seen = sparse_after_passes(trainer)
        trainer.train()
        ends.append((flat(trainer.model), [row["loss_retain"] for row in steps(trainer)]))
        assert not model.get_input_embeddings().sparse
        assert seen
        assert seen == [rows and name == "llama"] * len(seen)
    (found, losses), (expected, expected_losses) = ends
    assert losses == pytest.approx(expected_losses, rel=1e-4)
    assert (found - expected).norm() <= 1e-4 * expected.norm()


def test_the_first_direction_is_the_same_to_rounding(make_trainer, tiny_model, without):
    found, _ = first_gradient(make_trainer, tiny_model())
    without("sparse_embedding")
    expected, _ = first_gradient(make_trainer, tiny_model())
    assert found.shape == expected.shape
    assert distance(found, expected) < 1e-6


@pytest.mark.parametrize("accumulation", [1, 3])
def test_rows_that_wait_in_bf16_are_summed_before_they_are_rounded(make_trainer, tiny_model, without, accumulation):
    options = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 2}
    kept, _ = first_gradient(make_trainer, tiny_model(), stash_dtype="bfloat16", **options)
    without("sparse_embedding")
    whole, _ = first_gradient(make_trainer, tiny_model(), stash_dtype="bfloat16", **options)
    assert distance(kept, whole) < 2**-9 * accumulation


def test_nothing_of_a_run_is_left(make_trainer):
    """Neither a buffer of the embedding's size nor a sparse embedding, also in a copy that a callback takes."""
    copies, kept = [], []

    class Copy(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            kept.append(weakref.ref(trainer._step))
            copies.append(copy.deepcopy(kwargs["model"]).get_input_embeddings().sparse)

    trainer = make_trainer(callbacks=[Copy()], learning_rate=1e-3)
    trainer.train()
    assert copies == [False] * 3
    gc.collect()
    assert [step() for step in kept] == [None] * 3
