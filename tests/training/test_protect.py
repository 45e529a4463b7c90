"""Rows in neither set whose predictions a run holds: what the retain side then minimises, and how they are drawn."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.tasks import ImageTask

OPTIONS = {"learning_rate": 0.3, "optim": "sgd", "num_train_epochs": 2, "train_sampling_strategy": "random"}


def weights(trainer):
    return torch.cat([p.detach().double().flatten() for p in trainer.model.parameters()])


def answers(model, rows):
    """Logits and labels of the answer tokens, one row at a time."""
    for row in rows:
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(row["labels"][1:])
        yield logits[labels >= 0], labels[labels >= 0]


def nll(model, rows):
    return torch.cat([cross_entropy(*found, reduction="none") for found in answers(model, rows)]).mean()


def kl(model, before, rows):
    pairs = zip(answers(model, rows), answers(before, rows), strict=True)
    return torch.cat(
        [(p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1) for (q, _), (p, _) in pairs]
    ).mean()


def test_the_retain_side_minimises_its_objective_plus_the_divergence_from_before(make_trainer, tiny_model, random_rows):
    """A loop in float64, row by row: `CE + KL(before || now)` on the retain side, `-CE` on the other, NGDiff, SGD."""
    rows = {"forget": random_rows(8, 1), "retain": random_rows(9, 2), "protect": random_rows(3, 5)}
    trainer = make_trainer(
        copy.deepcopy(tiny_model()),
        forget=rows["forget"],
        retain=rows["retain"],
        protect_dataset=rows["protect"],
        per_device_train_batch_size=4,
        method="ngdiff",
        **OPTIONS,
    )
    trainer.train()

    model, before = tiny_model().double(), tiny_model().double()
    for epoch in range(2):
        trainer.sampler.set_epoch(epoch)
        pairs = list(trainer.sampler)
        for start in range(0, len(pairs), 4):
            step = pairs[start : start + 4]
            protected = [rows["protect"][pair.protect] for pair in step if pair.protect is not None]
            assert len(protected) == 1
            gradients = []
            for loss in (
                nll(model, [rows["retain"][pair.retain] for pair in step]) + kl(model, before, protected),
                -nll(model, [rows["forget"][pair.forget] for pair in step]),
            ):
                gradients.append(torch.autograd.grad(loss, list(model.parameters())))
            norms = [sum(float(g.square().sum()) for g in side) ** 0.5 for side in gradients]
            with torch.no_grad():
                for weight, g_r, g_f in zip(model.parameters(), *gradients, strict=True):
                    weight -= 0.3 * (g_r / norms[0] + g_f / norms[1])
    expected = torch.cat([p.detach().flatten() for p in model.parameters()])
    start = torch.cat([p.detach().flatten() for p in before.parameters()])
    assert (expected - start).norm() > 0.5
    torch.testing.assert_close(weights(trainer), expected, rtol=0, atol=2e-5)


def test_it_holds_them(make_trainer, random_rows):
    rows = random_rows(6, 5)
    drift = {}
    for name, given in (("plain", None), ("protected", rows)):
        trainer = make_trainer(protect_dataset=given, num_train_epochs=6, learning_rate=0.05, optim="sgd")
        before = copy.deepcopy(trainer.model)
        trainer.train()
        with torch.no_grad():
            drift[name] = float(kl(trainer.model, before, rows))
    assert drift["protected"] < 0.7 * drift["plain"]
    assert trainer.losses().keys() == {"forget", "retain", "protect"}


@pytest.mark.parametrize("split", [{"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}])
@pytest.mark.parametrize("buffers", [1, 2])
def test_micro_batches_change_nothing(make_trainer, random_rows, split, buffers, tmp_path):
    """Also where most micro-batches have no protected row."""
    rows = random_rows(3, 5)
    whole = make_trainer(protect_dataset=rows, gradient_buffers=buffers, output=tmp_path / "whole", **OPTIONS)
    parts = make_trainer(protect_dataset=rows, gradient_buffers=buffers, output=tmp_path / "parts", **OPTIONS, **split)
    for trainer in (whole, parts):
        trainer.train()
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-5)


def test_a_run_that_goes_on_ends_where_one_without_a_stop_ends(make_trainer, random_rows):
    options = {"save_strategy": "steps", "save_steps": 4, "protect_dataset": random_rows(3, 5), **OPTIONS}
    trainer = make_trainer(**options)
    trainer.train()
    again = make_trainer(**options)
    again.train(resume_from_checkpoint=str(checkpoint_folder(trainer.args.output_dir, 4)))
    assert torch.equal(weights(again), weights(trainer))


@pytest.mark.parametrize("probed_rows", ["fresh", "same"])
def test_a_probe_counts_protected_rows_by_how_far_they_are_from_before(
    make_trainer, tiny_model, random_rows, monkeypatch, probed_rows
):
    """`CE` of the retain rows plus `CE(before, now)` of the protected ones, in float64, at every point of the line."""
    trainer = make_trainer(
        copy.deepcopy(tiny_model()),
        protect_dataset=random_rows(3, 5),
        autolr_batch=probed_rows,
        autolr_interval=1,
        method="ngdiff",
    )
    before, probe, compared = tiny_model().double(), trainer.prober.probe, []

    def probed(optimizer, step, loss, **more):
        def measured(batches):
            now = copy.deepcopy(trainer.model).double()
            protected = [row for batch in batches for row in rows_of(batch["protect"])]
            pairs = zip(answers(now, protected), answers(before, protected), strict=True)
            crossed = torch.cat([-(p.softmax(-1) * q.log_softmax(-1)).sum(-1) for (q, _), (p, _) in pairs]).mean()
            found = loss(batches)
            own = [row for batch in batches for row in rows_of(batch)]
            compared.append((found, float(nll(now, own) + crossed)))
            return found

        return probe(optimizer, step, measured, **more)

    monkeypatch.setattr(trainer.prober, "probe", probed)
    trainer.train()
    assert len({expected for _, expected in compared}) > 3
    for found, expected in compared:
        assert found == pytest.approx(expected, abs=1e-5)


def rows_of(batch):
    """The rows of a batch, without padding."""
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        yield {"input_ids": ids[mask.bool()].tolist(), "labels": labels[mask.bool()].tolist()}


def test_images_have_none():
    with pytest.raises(InputError, match=r"--protect: .* cannot protect rows; put them into the retain set"):
        ImageTask.encode_protected(object.__new__(ImageTask), [])
