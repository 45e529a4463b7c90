"""Unlearning image classifiers: the step against an autograd reference, batch statistics, and what is refused."""

import copy
import math
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.data import Images
from ngdiff.errors import InputError
from ngdiff.tasks import ImageTask
from ngdiff.tasks.batch_norm import frozen_statistics
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.methods import resolve_method
from ngdiff.training.spread import spread

from ..training.image_cases import NAMES, PREPARATION, classifier, images, statistics
from ..training.runs import Grab, flat, steps


@pytest.fixture
def make_trainer(tmp_path):
    """`make_trainer(**options)`: a trainer of a small classifier."""

    def make(
        model=None,
        *,
        forget=None,
        retain=None,
        batch_norm="frozen",
        callbacks=None,
        holdout=None,
        alike=False,
        **options,
    ):
        defaults = {
            "output_dir": str(tmp_path / "run"),
            "use_cpu": True,
            "disable_tqdm": True,
            "report_to": [],
            "save_strategy": "no",
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "forget_ceiling": "none",
        }
        args = UnlearnConfig(**{**defaults, **options})
        model = classifier() if model is None else model
        return UnlearnTrainer(
            model,
            args,
            images(12, 1, [1] * 12) if forget is None else forget,
            images(20, 2, [0, 2] * 10) if retain is None else retain,
            holdout_dataset=holdout,
            task=ImageTask(model, PREPARATION, batch_norm=batch_norm, holdout_is_like_forget=alike),
            callbacks=callbacks,
        )

    return make


def reference_gradient(model, chosen: Images) -> tuple[float, list[torch.Tensor]]:
    """Mean over the images, one image at a time, one `torch.autograd.grad`."""
    total = torch.zeros((), dtype=torch.float64)
    for pixels, label in zip(chosen.pixels, chosen.labels.tolist(), strict=True):
        logits = model(PREPARATION(pixels[None])).logits[0]
        total = total - logits.double().log_softmax(-1)[label]
    loss = total / len(chosen)
    return loss.item(), list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (1, 4), (2, 2)])
@pytest.mark.parametrize("forget", [12, 3, 1])  # fewer images to forget than the batch holds; one image
def test_the_combined_gradient_equals_an_autograd_reference(make_trainer, batch, accumulation, forget):
    grab = Grab()
    trainer = make_trainer(
        forget=images(forget, 1, [1] * forget),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        learning_rate=1e-3,
        callbacks=[grab],
    )
    model = copy.deepcopy(trainer.model).eval()
    pairs = list(trainer.sampler)[: batch * accumulation]
    trainer.train()
    loss_r, g_r = reference_gradient(model, trainer.retain_dataset.take(torch.tensor([pair.retain for pair in pairs])))
    rows = torch.tensor([pair.forget for pair in pairs if pair.forget is not None])
    loss_f, g_f = reference_gradient(model, trainer.forget_dataset.take(rows))
    norm_r, norm_f = (math.sqrt(sum(float((g**2).sum()) for g in gs)) for gs in (g_r, g_f))
    for (name, _), r, f in zip(model.named_parameters(), g_r, g_f, strict=True):
        torch.testing.assert_close(grab.gradients[0][name], r / norm_r - f / norm_f, rtol=0, atol=3e-6)
    (log,) = steps(trainer)
    assert log["loss_retain"] == pytest.approx(loss_r, rel=1e-5)
    assert log["loss_forget"] == pytest.approx(loss_f, rel=1e-5)


def test_accumulation_changes_nothing_where_statistics_are_frozen(make_trainer):
    ends, start = [], flat(classifier())
    for batch, accumulation in ((4, 1), (2, 2), (1, 4)):
        trainer = make_trainer(
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            num_train_epochs=3,
            optim="sgd",
            learning_rate=1e-2,
        )
        trainer.train()
        ends.append(flat(trainer.model))
    for end in ends[1:]:
        assert float((end - ends[0]).norm()) < 1e-3 * float((ends[0] - start).norm())


def test_a_seed_gives_identical_runs(make_trainer):
    ends = []
    for _ in range(2):
        trainer = make_trainer(num_train_epochs=2)
        trainer.train()
        ends.append(flat(trainer.model))
    assert torch.equal(*ends)


def test_a_class_is_forgotten_and_the_others_are_kept(make_trainer):
    everything = images(60, 3)
    model = classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(PREPARATION(everything.pixels)).logits, everything.labels).backward()
        optimizer.step()
    model.eval()
    forget, retain = (everything.take((everything.labels == 1) == side) for side in (True, False))

    def accuracy(chosen: Images) -> float:
        with torch.no_grad():
            found = model.eval()(PREPARATION(chosen.pixels)).logits.argmax(1)
        return float((found == chosen.labels).float().mean())

    assert min(accuracy(forget), accuracy(retain)) > 0.9
    trainer = make_trainer(model, forget=forget, retain=retain, forget_ceiling="random", num_train_epochs=10)
    trainer.train()
    assert trainer.ceiling == pytest.approx(math.log(3))
    assert accuracy(forget) < 0.2
    assert accuracy(retain) > 0.9


# ---- batch normalisation ---------------------------------------------------------------------------------------------


def test_frozen_statistics_are_those_the_model_came_with(make_trainer):
    trainer = make_trainer(num_train_epochs=3)
    before, weights = statistics(trainer.model), flat(trainer.model)
    assert len(before) > 10
    trainer.train()
    assert statistics(trainer.model) == before
    assert not torch.equal(flat(trainer.model), weights)
    scales = [p for name, p in trainer.model.named_parameters() if "normalization.weight" in name]
    assert any(not torch.equal(p, torch.ones_like(p)) for p in scales)  # scales and shifts are trained


def test_trained_statistics_move(make_trainer):
    trainer = make_trainer(batch_norm="train", max_steps=1, learning_rate=1e-3)
    model = copy.deepcopy(trainer.model).train()
    before = statistics(trainer.model)
    pairs = list(trainer.sampler)[:4]
    with torch.no_grad():  # the passes of the step, in their order
        model(PREPARATION(trainer.retain_dataset.pixels[[pair.retain for pair in pairs]]))
        model(PREPARATION(trainer.forget_dataset.pixels[[pair.forget for pair in pairs]]))
    trainer.train()
    assert statistics(trainer.model) != before
    assert statistics(trainer.model) == statistics(model)


@pytest.mark.parametrize("memory", ["exact", "lean"])
@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_a_probe_leaves_weights_and_statistics_as_they_are(make_trainer, batch_norm, memory):
    options = {"autolr_memory": memory, "autolr_interval": 1, "num_train_epochs": 2, "optim": "sgd"}
    trainer = make_trainer(batch_norm=batch_norm, **options)
    probed = []

    @contextmanager
    def look(moment):
        if moment != "probe of the learning rate":
            yield
            return
        before, weights = statistics(trainer.model), flat(trainer.model)
        modes = [module.training for module in trainer.model.modules()]
        yield
        assert statistics(trainer.model) == before
        assert torch.equal(flat(trainer.model), weights) == (memory == "exact")  # a lean one takes the step
        assert [module.training for module in trainer.model.modules()] == modes
        probed.append(trainer.state.global_step + 1)

    trainer.observe = look
    trainer.train()
    assert probed == [1, 2, 3, 4, 5, 6]
    assert any(p["accepted"] for p in trainer.run_state.probes)


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_the_loss_of_a_step_is_reused_only_where_a_probe_would_find_it(make_trainer, batch_norm):
    trainer = make_trainer(batch_norm=batch_norm, autolr_interval=1, autolr_batch="same", max_steps=3)
    probe, seen = trainer.autolr.probe, []

    def watched(optimizer, loss, *, here=None, **options):
        measured = loss()
        seen.append((here, measured))
        return probe(optimizer, loss, here=here, **options)

    trainer.autolr.probe = watched
    trainer.train()
    assert len(seen) == 3
    for here, measured in seen:
        assert (here is None) == (batch_norm == "train")
        assert here is None or here == pytest.approx(measured, rel=1e-5)


def test_modes_are_what_they_were(make_trainer):
    model = classifier().train()
    model.resnet.embedder.normalization.eval()
    before = {name: module.training for name, module in model.named_modules()}
    with frozen_statistics(model):
        model.train()
        old = statistics(model)
        model(PREPARATION(images(4, 0).pixels))
        assert statistics(model) == old
        assert model.training
        model.resnet.embedder.normalization.eval()
    norms = {name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {name: module.training for name, module in model.named_modules() if name in norms} == {
        name: mode for name, mode in before.items() if name in norms
    }
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_normalisation_without_running_statistics_uses_the_batch():
    norm = nn.BatchNorm1d(2, track_running_stats=False)
    values = torch.tensor([[1.0, 5.0], [3.0, 9.0]])
    with frozen_statistics(norm.train()):
        torch.testing.assert_close(norm(values), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-4, rtol=0)


# ---- other models, objectives, options -------------------------------------------------------------------------------


def test_any_module_that_gives_logits(make_trainer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3))
    trainer = make_trainer(model, num_train_epochs=2, forget_ceiling="random")
    before = flat(model)
    trainer.train()
    assert not torch.equal(flat(model), before)
    assert trainer.ceiling == pytest.approx(math.log(3))


@pytest.mark.parametrize("objective", ["ce", "npo", "simnpo", "wga", "undial", "ceu"])
@pytest.mark.parametrize("retain", ["ce", "kl"])
def test_objectives_that_need_no_text(make_trainer, objective, retain):
    trainer = make_trainer(forget_objective=objective, retain_objective=retain, num_train_epochs=2)
    before = flat(trainer.model)
    trainer.train()
    assert not torch.equal(flat(trainer.model), before)
    assert all(math.isfinite(row["loss_retain"]) for row in steps(trainer))


def test_npo_compares_with_the_model_before(make_trainer):
    trainer = make_trainer(forget_objective="npo", max_steps=1)
    trainer.train()
    # At the start the two models agree: -(2 / beta) log sigmoid(0) with beta 0.1.
    assert steps(trainer)[0]["objective_forget"] == pytest.approx(20 * math.log(2), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget_objective": "rmu", "forget_ceiling": "none"}, "--forget-objective rmu works on hidden states"),
        ({"forget_objective": "ceu(skip_first=True)"}, "leaves out the first token of each answer"),
        ({"forget_objective": "dpo"}, "teaches another answer, which images do not have"),
        ({"batch_norm": "freeze"}, "--batch-norm freeze is not known; one of frozen, train"),
        ({"forget": images(3, 1).take(torch.arange(0))}, "--forget: no images"),
        ({"retain": images(12, 1, [1] * 12)}, "12 of 12 images to forget are also among those to keep"),
    ],
)
def test_what_is_refused(make_trainer, options, message):
    with pytest.raises(InputError) as error:
        make_trainer(**options)
    assert message in str(error.value)


def test_models_that_do_not_fit_the_images(make_trainer):
    with pytest.raises(InputError, match="the images have 3 classes, the model 5 outputs"):
        make_trainer(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)))
    with pytest.raises(InputError, match=r"does not map a batch of shape \(1, 3, 8, 8\) to logits: mat1 and mat2"):
        make_trainer(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)))
    with pytest.raises(InputError, match=r"an output of shape \(1, 3, 8, 8\); expected \(1, classes\)"):
        make_trainer(nn.Sequential(nn.Conv2d(3, 3, 1)))
    other = Images(torch.zeros(2, 3, 8, 8).byte(), torch.zeros(2, dtype=torch.int64), ("a", "b", "c"))
    with pytest.raises(InputError, match="do not have the same classes"):
        make_trainer(retain=other)


def test_no_levels_are_taken_from_images_of_a_class_to_forget(make_trainer):
    """The model knows such images from others of their class; a model retrained without the class would not."""
    trainer = make_trainer(holdout=images(6, 9, [1] * 6), max_steps=1)
    assert trainer.args.parts == resolve_method("ngdiff")
    assert make_trainer(method="lowered+ngdiff", holdout=images(6, 9, [1] * 6)).args.parts.forget == "lowered"


def test_the_hardest_of_some_images_get_the_highest_levels(make_trainer):
    """Nothing is known of an image but its own loss: those to forget are spread as the images never seen are."""
    trainer = make_trainer(forget=images(40, 5), holdout=images(300, 9), alike=True, max_steps=1)
    assert trainer.args.parts == resolve_method("lowered+ngdiff+klr")
    losses = trainer.token_losses(trainer.forget_dataset)
    never_seen = trainer.token_losses([trainer.holdout_dataset[i] for i in spread(300, 256)])
    trainer.train()
    levels = torch.cat([trainer.compared.levels.losses[twins] for twins in trainer.compared.levels._twins])
    tenth = 40 // 10
    order = losses.argsort()
    assert levels[order[-tenth:]].min() > levels[order[:tenth]].max()
    assert levels.mean().item() == pytest.approx(never_seen.mean().item(), rel=0.1)
    assert set(levels.tolist()) <= set(never_seen.tolist())


def test_a_resumed_run_with_levels_ends_alike(make_trainer, tmp_path):
    options = {"forget": images(12, 5), "holdout": images(40, 9), "alike": True, "stop": "passes"}
    options |= {"num_train_epochs": 5, "save_strategy": "steps", "save_steps": 4, "save_total_limit": None}
    whole = make_trainer(**options)
    whole.train()
    again = make_trainer(**options)
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "run", 12)))
    assert torch.equal(flat(again.model), flat(whole.model))


def test_holdout_images_give_the_ceiling(make_trainer):
    trainer = make_trainer(forget_ceiling="holdout", holdout=images(6, 9, [1] * 6), max_steps=1)
    trainer.train()
    assert trainer.ceiling == pytest.approx(trainer.run_state.initial_losses["holdout"])


def test_evaluation_during_training(make_trainer):
    trainer = make_trainer(eval_strategy="epoch", num_train_epochs=1, batch_norm="train")
    trainer.train()
    logged = {key for row in trainer.state.log_history for key in row}
    assert {"eval_forget_loss", "eval_retain_loss"} <= logged
    last = next(row["eval_forget_loss"] for row in reversed(trainer.state.log_history) if "eval_forget_loss" in row)
    assert last == pytest.approx(trainer.mean_loss(trainer.forget_dataset), rel=1e-4)


def test_resumed_runs_end_with_the_same_weights(make_trainer, tmp_path):
    whole = make_trainer(num_train_epochs=2, save_strategy="epoch", batch_norm="train")
    whole.train()
    resumed = make_trainer(num_train_epochs=2, save_strategy="epoch", batch_norm="train")
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "run", 3)))
    assert torch.equal(flat(resumed.model), flat(whole.model))
    assert statistics(resumed.model) == statistics(whole.model)


def test_a_placeholder_teaches_nothing():
    task = ImageTask(classifier(), PREPARATION)
    row = images(3, 0)[1]
    batch = task.collate([task.placeholder(row)])
    assert batch["labels"].tolist() == [-100]
    assert batch["row_id"].tolist() == [-1]
    assert row["labels"] in range(len(NAMES))
