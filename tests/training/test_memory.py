"""Ways to hold less: a gradient that waits in fewer bits, one buffer and three passes, probes that take the step."""

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.core.slots import GradientSlots
from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig
from ngdiff.weighting import WEIGHTINGS

from .runs import distance, first_gradient, flat, steps


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("name", [name for name, row in WEIGHTINGS.items() if not row.needs_both_gradients])
def test_one_buffer_gives_the_direction_of_two(make_trainer, tiny_model, name, accumulation):
    found = []
    for buffers in (1, 2):
        options = {"weighting": name, "gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 2}
        found.append(first_gradient(make_trainer, tiny_model(), gradient_buffers=buffers, **options))
    (one, log_one), (two, log_two) = found
    assert distance(one, two) < 1e-6
    for figure in ("loss_retain", "loss_forget", "norm_retain", "norm_forget", "weight_forget", "loss"):
        assert log_one[figure] == pytest.approx(log_two[figure], rel=1e-6)
    assert "cosine" in log_two
    assert "cosine" not in log_one  # it is not known


@pytest.mark.parametrize("method", ["npo", "simnpo+ngdiff", "undial+ngdiff", "rmu+ngdiff"])
def test_one_buffer_with_other_objectives(make_trainer, tiny_model, method):
    one, two = (
        first_gradient(make_trainer, tiny_model(), method=method, forget_ceiling="none", gradient_buffers=buffers)[0]
        for buffers in (1, 2)
    )
    assert distance(one, two) < 1e-6


def test_a_run_with_one_buffer_equals_one_with_two(make_trainer):
    ends = []
    for buffers in (1, 2):
        trainer = make_trainer(gradient_buffers=buffers, num_train_epochs=2, optim="sgd", autolr_interval=3)
        trainer.train()
        ends.append((flat(trainer.model), [row["learning_rate"] for row in steps(trainer)]))
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-3)
    assert distance(ends[0][0], ends[1][0]) < 1e-4


def test_one_buffer_at_the_ceiling_follows_the_retain_gradient(make_trainer, tiny_model):
    options = {"gradient_buffers": 1, "max_steps": 1}
    resting, _ = first_gradient(make_trainer, tiny_model(), forget_ceiling="0.01", **options)
    retain_only, log = first_gradient(make_trainer, tiny_model(), weighting="gd", **options)
    assert torch.allclose(resting * log["norm_retain"], retain_only, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_gradient_that_waits_in_bf16_changes_the_direction_by_its_rounding(make_trainer, tiny_model, accumulation):
    options = {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 2}
    kept, _ = first_gradient(make_trainer, tiny_model(), stash_dtype="bfloat16", **options)
    whole, _ = first_gradient(make_trainer, tiny_model(), **options)
    assert 1e-5 < distance(kept, whole) < 2**-9 * accumulation


def test_the_options_of_the_stash_reach_the_slots(make_trainer, monkeypatch):
    seen = []
    make = GradientSlots.__init__

    def watched(self, *args, **kwargs):
        seen.append(kwargs)
        make(self, *args, **kwargs)

    monkeypatch.setattr(GradientSlots, "__init__", watched)
    make_trainer(stash_dtype="bfloat16", stash_device="cpu", max_steps=1).train()
    assert seen == [{"stash_dtype": torch.bfloat16, "stash_device": "cpu"}]


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "sgd"])
@pytest.mark.parametrize("search", [True, False])
def test_lean_probes_lead_to_the_same_end(make_trainer, tiny_model, optim, search):
    ends, start = [], flat(tiny_model())
    for memory in ("exact", "lean"):
        rate = "auto" if search else "auto:1e-4"
        options = {"optim": optim, "learning_rate": rate, "autolr_search": search, "autolr_interval": 2}
        trainer = make_trainer(autolr_memory=memory, max_steps=4, **options)
        trainer.train()
        ends.append((flat(trainer.model), [row["learning_rate"] for row in steps(trainer)]))
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-3)
    assert float((ends[0][0] - ends[1][0]).norm()) < 1e-3 * float((ends[0][0] - start).norm())


def test_a_lean_run_goes_on_where_it_was_cut(make_trainer, tmp_path):
    options = {"autolr_memory": "lean", "autolr_interval": 2, "num_train_epochs": 2}
    whole = make_trainer(output=tmp_path / "whole", **options)
    whole.train()
    first = make_trainer(output=tmp_path / "cut", save_strategy="steps", save_steps=2, **options)
    first.train()
    again = make_trainer(output=tmp_path / "cut", **options)
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "cut", 4)))
    assert torch.equal(flat(again.model), flat(whole.model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient_buffers": 3}, "--gradient-buffers 3 is not from 1 to 2"),
        ({"gradient_buffers": 1, "weighting": "pcgrad"}, "the weighting pcgrad uses the inner product"),
        ({"gradient_buffers": 1, "weighting": "sago"}, "the weighting sago compares the two gradients entry by entry"),
        ({"gradient_buffers": 1, "stash_dtype": "bfloat16"}, "no gradient waits"),
        ({"gradient_buffers": 1, "disable_dropout": False}, "dropout would make them differ"),
        ({"stash_dtype": "int8"}, "--stash-dtype int8 is not known; one of same, bfloat16"),
        ({"stash_device": "disk"}, "--stash-device disk is not known; one of same, cpu"),
        ({"autolr_memory": "tiny"}, "--autolr-memory tiny is not known; one of auto, exact, lean"),
        ({"autolr_memory": "lean", "learning_rate": "1e-4"}, "nothing is probed"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, **options)
