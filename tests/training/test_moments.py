"""What an observer of a run is told, and that watching changes nothing."""

from contextlib import contextmanager

import pytest
import torch

from .runs import flat

MICRO_BATCH = ["micro-batch", ["retain pass"], ["forget pass"]]
COMBINATION = ["combination of the gradients"]


def watched(trainer) -> list:
    """Moments in their order, each with those within it."""
    open_lists = [[]]

    @contextmanager
    def observe(moment):
        open_lists[-1].append([moment])
        open_lists.append(open_lists[-1][-1])
        yield
        open_lists.pop()

    trainer.observe = observe
    trainer.losses = lambda: {"forget": 1.0, "retain": 1.0}  # those before the first step have no part in this
    trainer.train()
    return open_lists[0]


def test_moments_of_a_step(make_trainer):
    trainer = make_trainer(max_steps=1, learning_rate="auto:1e-4", autolr_interval=1, autolr_search=False)
    seen = watched(trainer)
    (probe,) = trainer.run_state.probes
    losses = [["loss"]] * probe["forwards"]
    assert losses
    expected = [MICRO_BATCH, COMBINATION, ["probe of the learning rate", *losses]]
    assert seen == [["check of the forward pass"], *expected]


def test_moments_of_a_step_of_two_micro_batches(make_trainer):
    options = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "method": "npo"}
    seen = watched(make_trainer(max_steps=1, learning_rate=1e-3, **options))
    assert seen == [["check of the forward pass"], ["references"], MICRO_BATCH, MICRO_BATCH, COMBINATION]


def test_all_passes_of_one_buffer_are_within_its_combination(make_trainer):
    seen = watched(make_trainer(max_steps=1, learning_rate=1e-3, gradient_buffers=1))
    passes = [["forget pass"], ["retain pass"], ["forget pass"]]
    assert seen == [["check of the forward pass"], ["micro-batch"], [*COMBINATION, *passes]]


@pytest.mark.parametrize("options", [{}, {"gradient_buffers": 1}])
def test_a_run_that_is_watched_ends_where_another_does(make_trainer, tiny_model, options):
    plain = make_trainer(tiny_model(), **options)
    plain.train()
    other = make_trainer(tiny_model(), **options)
    watched(other)
    assert torch.equal(flat(plain.model), flat(other.model))
