"""Levels: twins of tokens to forget, and a run that ends where a model stands that never saw the rows."""

import copy
import math

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.core.answers import Answers, Reference
from ngdiff.data import AnswerCollator
from ngdiff.errors import InputError
from ngdiff.modeling.plain_forward import forward_answers
from ngdiff.training.compared import Compared
from ngdiff.training.levels import INTERVAL, Levels
from ngdiff.training.outcome import outcome_of


def batch_of(rows):
    return {"row_id": torch.tensor(rows)}


def no_answers(count):
    return Answers(torch.zeros(count), torch.zeros(count, dtype=torch.long), rows=1)


def test_a_twin_is_about_as_hard():
    levels = Levels()
    holdout = [torch.rand(50, generator=torch.Generator().manual_seed(i)) * 10 for i in range(20)]
    forget = [torch.tensor([0.0, 5.0, 10.0]), torch.tensor([2.5])]
    levels.pair(forget, holdout, seed=0)
    levels.losses = torch.cat(holdout)  # a twin's own hardness
    found = levels.of(batch_of([1, 0]), no_answers(4))
    assert found.tolist() == pytest.approx([2.5, 0.0, 5.0, 10.0], abs=0.5)


def test_levels_have_the_spread_of_the_holdout_losses():
    """Tokens that cost a base model the same cost this one more or less: the levels do, too."""
    generator = torch.Generator().manual_seed(1)
    hardness = torch.rand(5000, generator=generator)
    levels = Levels()
    levels.pair([torch.full((2000,), 0.5)], [hardness], seed=0)
    levels.losses = 5 + hardness + torch.randn(5000, generator=generator)
    found = levels.of(batch_of([0]), no_answers(2000))
    near = levels.losses[(hardness - 0.5).abs() < 0.005]
    assert float(found.mean()) == pytest.approx(float(near.mean()), abs=0.15)
    assert float(found.std()) == pytest.approx(float(near.std()), rel=0.2)


def test_where_nothing_says_how_hard_tokens_are_any_is_a_twin():
    levels = Levels()
    levels.pair([torch.zeros(3)] * 300, [torch.zeros(3)] * 300, seed=0)
    levels.losses = torch.arange(900.0)
    found = levels.of(batch_of(list(range(300))), no_answers(900))
    assert float(found.mean()) == pytest.approx(450, abs=40)
    assert float(found.std()) == pytest.approx(900 / math.sqrt(12), rel=0.1)
    assert int(found.min()) < 30
    assert int(found.max()) > 870


def test_without_holdout_rows_levels_are_the_losses_given():
    levels = Levels()
    levels.fix([torch.tensor([1.0, 2.0]), torch.tensor([3.0])])
    assert levels.of(batch_of([1, -1, 0]), no_answers(3)).tolist() == [3.0, 1.0, 2.0]
    assert levels.of(batch_of([-1]), no_answers(0)).shape == (0,)


def corrected(levels, rows):
    """The levels of rows, one after the other."""
    return levels.of(batch_of(rows), no_answers(0)).double()


def test_corrections_bring_losses_that_spread_less_than_their_levels_to_them():
    """A model whose losses come eight tenths of the way from their mean to the levels it is given."""
    generator = torch.Generator().manual_seed(0)
    raw = [3 + torch.rand(40, generator=generator) * 9 for _ in range(25)]
    levels, rows = Levels(), list(range(25))
    levels.fix(raw)
    wanted = torch.cat(raw).double()
    tenths = wanted.argsort().chunk(10)
    misses = []
    for _ in range(12):
        aims = corrected(levels, rows)
        losses = 7.5 + 0.8 * (aims - 7.5)
        misses.append([float((wanted - losses)[tenth].mean()) for tenth in tenths])
        levels.correct(rows, losses)
    assert misses[0][-1] == pytest.approx(0.2 * (11.55 - 7.5), abs=0.05)  # the highest fall short
    assert misses[0][0] == pytest.approx(0.2 * (3.45 - 7.5), abs=0.05)
    assert max(map(abs, misses[-1])) < 0.02
    assert levels.mean() == pytest.approx(float(wanted.mean()))  # which tells the end of a run


def test_a_correction_is_half_of_the_mean_that_its_tenth_misses():
    levels = Levels()
    levels.fix([torch.arange(10.0), torch.arange(10.0) + 0.5])
    losses = torch.arange(10.0) - torch.arange(10.0) / 10  # row 0 is measured; it misses 0, .1, ... .9
    levels.correct([0], losses)
    assert torch.allclose(levels.corrections[:10], torch.arange(10.0) / 20)
    assert torch.allclose(levels.corrections[10:], torch.arange(10.0) / 20)
    levels.correct([0], losses)
    assert torch.allclose(levels.corrections[:10], torch.arange(10.0) / 10)


def test_a_correction_is_at_most_half_a_nat():
    levels = Levels()
    levels.fix([torch.full((20,), 9.0), torch.full((20,), 2.0)])
    levels.correct([0, 1], torch.cat([torch.full((20,), 5.0), torch.full((20,), 7.0)]))
    assert levels.corrections.tolist() == [0.5] * 20 + [-0.5] * 20


def test_no_level_is_negative():
    levels = Levels()
    levels.fix([torch.full((20,), 0.1)])
    levels.correct([0], torch.full((20,), 3.0))
    assert float(levels.corrections.max()) < -0.1
    assert corrected(levels, [0]).tolist() == [0.0] * 20


@pytest.mark.parametrize(("own", "others"), [(5, 4), (4, 5)])
def test_a_base_model_may_have_other_tokens_at_the_end(own, others):
    """Added tokens: those of the model get probability 0, those of the base model are left out."""
    said = Reference(torch.zeros(1), torch.arange(others, dtype=torch.float32)[None].log_softmax(-1))

    class Known:
        def of(self, *_):
            return said

    answers = Answers(torch.zeros(1), torch.tensor([0]), rows=1, logits=torch.zeros(1, own))
    found = Compared(teacher=Known()).attach("forget", batch_of([0]), answers).teacher.log_probs
    expected = torch.arange(4, dtype=torch.float32).softmax(-1)
    assert torch.allclose(found[0, :4].exp(), expected)
    assert own == 4 or found[0, 4] == -torch.inf


def nll_of(model, rows):
    with torch.no_grad():
        return [forward_answers(model, AnswerCollator(0)([row])).nll for row in rows]


@pytest.fixture
def holdout_rows(random_rows):
    return random_rows(6, 5)


@pytest.mark.parametrize(
    ("base", "holdout", "objective"),
    [(True, True, "unseen"), (True, False, "unseen"), (False, True, "lowered"), (False, False, "ce")],
)
def test_the_method_follows_from_what_is_given(make_trainer, base_model, holdout_rows, base, holdout, objective):
    trainer = make_trainer(
        method="auto",
        base_model=base_model() if base else None,
        holdout_dataset=holdout_rows if holdout else None,
        max_steps=2,
    )
    assert (trainer.args.parts.forget, trainer.args.parts.weighting) == (objective, "ngdiff")
    trainer.train()


def test_a_step_compares_with_the_base_model_and_with_levels(make_trainer, base_model, holdout_rows):
    base = base_model()
    trainer = make_trainer(
        method="auto",
        base_model=base,
        holdout_dataset=holdout_rows,
        max_steps=1,
        autolr_search=False,
        per_device_train_batch_size=12,  # all forget rows
    )
    before = copy.deepcopy(trainer.model)
    trainer.train()
    forget, levels = trainer.forget_dataset, trainer.compared.levels
    assert torch.allclose(levels.losses, torch.cat(nll_of(before, holdout_rows)), atol=1e-5)
    told = trainer.compared.teacher.losses("forget")
    assert torch.allclose(torch.cat(told), torch.cat(nll_of(base, forget)), atol=1e-5)
    total, tokens = 0.0, 0
    for row in range(len(forget)):
        with torch.no_grad():
            own, told = (
                forward_answers(model, AnswerCollator(0)([forget[row]]), frozenset({"logits"}))
                for model in (before, base)
            )
        aim = levels.of(batch_of([row]), own)
        other = own.logits.softmax(-1).scatter(1, own.labels[:, None], 0.0)
        own_aim = other / other.sum(-1, keepdim=True) * (1 - (-aim).exp())[:, None]
        own_aim = own_aim.scatter(1, own.labels[:, None], (-aim).exp()[:, None])
        aims = (told.logits.softmax(-1) + own_aim) / 2
        total -= float((aims * own.logits.log_softmax(-1)).sum())
        off = (own.nll - aim).abs()
        total += float(torch.where(off < 1, off**2 / 2, off - 0.5).sum())
        tokens += len(own.nll)
    first = next(row for row in trainer.state.log_history if "objective_forget" in row)
    assert first["objective_forget"] == pytest.approx(total / tokens, rel=1e-4)


def test_levels_are_looked_at_again(make_trainer, base_model, holdout_rows, monkeypatch):
    trainer = make_trainer(method="lowered+ngdiff", holdout_dataset=holdout_rows, max_steps=INTERVAL + 2)
    seen = []
    look = type(trainer).token_losses
    monkeypatch.setattr(
        type(trainer), "token_losses", lambda self, rows: (seen.append(self.state.global_step), look(self, rows))[1]
    )
    trainer.train()
    assert seen == [0, INTERVAL]


def arriving_at_once(make_trainer, holdout_rows, monkeypatch, **options):
    """A run whose first pass has arrived, with a checkpoint every second step."""
    monkeypatch.setattr("ngdiff.training.arrival._NEAR", 0.0)
    options = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": None, "stop": "arrived", **options}
    return make_trainer(method="lowered+ngdiff", holdout_dataset=holdout_rows, num_train_epochs=INTERVAL, **options)


def test_levels_are_corrected_once_a_run_has_arrived(make_trainer, holdout_rows, monkeypatch, caplog):
    trainer = arriving_at_once(make_trainer, holdout_rows, monkeypatch)
    measured = {}
    correct = Levels.correct

    def noted(self, rows, losses):
        measured[trainer.state.global_step] = (list(rows), losses)
        correct(self, rows, losses)

    monkeypatch.setattr(Levels, "correct", noted)
    trainer.train()
    assert list(measured) == list(range(INTERVAL, trainer.state.global_step, INTERVAL))
    rows, losses = measured[INTERVAL]
    assert rows == list(range(len(trainer.forget_dataset)))
    assert losses.shape == trainer.compared.levels.corrections.shape
    assert trainer.run_state.level_corrections == trainer.compared.levels.corrections.tolist()
    assert bool(trainer.compared.levels.corrections.any())
    assert "has not arrived" not in caplog.text


def test_a_run_that_has_not_arrived_keeps_its_levels_and_says_so(make_trainer, holdout_rows, monkeypatch, caplog):
    trainer = arriving_at_once(make_trainer, holdout_rows, monkeypatch)
    monkeypatch.setattr("ngdiff.training.arrival._NEAR", 1e9)
    trainer.train()
    assert trainer.state.global_step > INTERVAL
    assert trainer.run_state.level_corrections == []
    said = f"The run has not arrived: after {trainer.state.global_step} steps, the most it may take"
    assert caplog.text.count(said) == 1
    assert f"rows never seen have about {trainer.compared.levels.mean():.2f}." in caplog.text


def test_a_resumed_run_has_its_corrections(make_trainer, holdout_rows, tmp_path, monkeypatch):
    whole = arriving_at_once(make_trainer, holdout_rows, monkeypatch, output=tmp_path / "whole")
    whole.train()
    again = arriving_at_once(make_trainer, holdout_rows, monkeypatch, output=tmp_path / "whole")
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "whole", INTERVAL + 2)))
    assert torch.equal(whole.compared.levels.corrections, again.compared.levels.corrections)
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("method", "missing"),
    [("unseen+ngdiff", "--base-model"), ("teacher+gdiff", "--base-model"), ("level+ngdiff", "--holdout")],
)
def test_what_an_objective_lacks_is_named(make_trainer, method, missing):
    with pytest.raises(InputError, match=missing):
        make_trainer(method=method)


def test_a_base_model_that_knows_the_rows_is_refused(make_trainer, tiny_model):
    trainer = make_trainer(method="teacher+ngdiff", base_model=tiny_model())  # the model itself
    with pytest.raises(InputError, match="it knows them"):
        trainer.train()


def test_a_resumed_run_ends_alike(make_trainer, base_model, holdout_rows, tmp_path):
    options = {
        "method": "auto",
        "base_model": base_model(),
        "holdout_dataset": holdout_rows,
        "num_train_epochs": 5,
        "save_strategy": "steps",
        "save_steps": 4,
        "save_total_limit": None,
    }
    whole = make_trainer(output=tmp_path / "whole", **options)
    whole.train()
    again = make_trainer(output=tmp_path / "whole", **options)
    again.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path / "whole", 8)))
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_outcome_tells_what_unlearning_cost_rows_in_no_set(make_trainer, holdout_rows):
    trainer = make_trainer(method="ngdiff", holdout_dataset=holdout_rows, max_steps=2)
    before = copy.deepcopy(trainer.model)
    trainer.train()
    outcome = outcome_of(trainer)
    assert outcome.rows["holdout"] == 6
    for model, found in ((before, outcome.before), (trainer.model, outcome.after)):
        assert found["holdout"] == pytest.approx(float(torch.cat(nll_of(model, holdout_rows)).mean()), rel=1e-5)
