"""Predicted hardness: what a model that never saw a row would lose on its tokens."""

import pytest
import torch

from ngdiff.data import AnswerCollator
from ngdiff.training.hardness import features_of, fit, hardness, ranks


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_finds_what_a_feature_is_worth():
    """Losses that are a known function of two features of three, and noise."""
    features = list(normal(0, 40, 50, 3))

    def losses(rows):
        return torch.cat([5 + 2 * own[:, 0] - own[:, 1].square() for own in rows])

    found = fit(features, losses(features) + 0.1 * normal(1, 2000))
    expected = [5, 2, 0, 0, 0, -1, 0]  # 1, each feature, each square
    assert found == pytest.approx(expected, abs=0.02)
    other = list(normal(2, 3, 7, 3))
    torch.testing.assert_close(torch.cat(hardness(other, found)), losses(other), rtol=0, atol=0.2)


def test_the_base_loss_is_one_more_feature():
    familiarity, base = [torch.zeros(2, 3), torch.ones(1, 3)], [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    found = features_of(familiarity, base)
    assert [own.tolist() for own in found] == [[[0, 0, 0, 1], [0, 0, 0, 2]], [[1, 1, 1, 3]]]
    assert features_of(familiarity, None) == familiarity


def test_without_features_all_are_equally_hard():
    features = [torch.empty(3, 0), torch.empty(2, 0)]
    found = hardness(features, fit(features, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])))
    assert torch.cat(found).tolist() == pytest.approx([3.0] * 5)


def test_ranks_are_those_of_the_losses_and_evenly_spread():
    losses = normal(3, 101).exp()
    found = ranks(losses)
    assert torch.equal(found.argsort(), losses.argsort())
    torch.testing.assert_close(found.sort().values, (torch.arange(101) + 0.5) / 101)
    torch.testing.assert_close(ranks(losses.square()), found, rtol=0, atol=0)  # of any rising function of them


def test_fewer_tokens_than_coefficients():
    features = [torch.tensor([[1.0, 2.0, 3.0, 4.0]])]
    (found,) = hardness(features, fit(features, torch.tensor([2.5])))
    assert found.tolist() == pytest.approx([2.5])


def test_rows_alike_to_the_retain_rows_get_lower_levels(make_trainer, random_rows):
    """Half of the holdout rows share tokens with the retain rows and cost the model less: so do half of the others."""
    alike, other = [7, 8, 9, 10, 11, 12, 13, 14], [30, 31, 32, 33, 34, 35, 36, 37]

    def rows(tokens, n, seed):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(tokens), (n, 16), generator=generator)
        return [{"input_ids": own, "labels": [-100, *own[1:]]} for own in torch.tensor(tokens)[drawn].tolist()]

    retain = rows(alike, 40, 1)
    trainer = make_trainer(
        method="level+ngdiff",
        forget=rows(alike, 8, 2) + rows(other, 8, 3),
        retain=retain,
        holdout_dataset=rows(alike, 30, 4) + rows(other, 30, 5),
        max_steps=1,
        autolr_search=False,
        learning_rate=1e-6,
    )
    _teach(trainer, retain)
    trainer.train()
    levels = trainer.compared.levels
    known, unknown = (
        torch.cat([levels.losses[levels._twins[row]] for row in chosen]).mean() for chosen in (range(8), range(8, 16))
    )
    held = levels.losses.reshape(60, -1)
    assert held[30:].mean() > held[:30].mean() + 2
    assert float(known) == pytest.approx(float(held[:30].mean()), abs=0.3)
    assert float(unknown) == pytest.approx(float(held[30:].mean()), abs=0.3)


def _teach(trainer, rows) -> None:
    optimizer = torch.optim.Adam(trainer.model.parameters(), lr=1e-2)
    batch = AnswerCollator(0)(rows)
    for _ in range(60):
        optimizer.zero_grad()
        trainer.model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.backward()
        optimizer.step()
    optimizer.zero_grad()
