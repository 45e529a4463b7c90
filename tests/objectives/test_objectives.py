"""Every objective against a slow twin in double precision: value, gradient, units; and the forget ceiling."""

import copy
import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ngdiff.core.answers import Answers, Reference, count_units
from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES, forget_ceiling

# Under --import-mode=importlib a test cannot import its neighbour by name.
_spec = importlib.util.spec_from_file_location("objective_cases", Path(__file__).with_name("cases.py"))
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)

TABLES = {"forget": (FORGET_OBJECTIVES, cases.FORGET), "retain": (RETAIN_OBJECTIVES, cases.RETAIN)}
ROWS = [
    pytest.param(side, name, case, id=f"{side}-{name}-{case.parameters}")
    for side, (_, table) in TABLES.items()
    for name in table
    for case in table[name]
]


PER_TOKEN = ("z", "y", "row", "ref", "hidden", "base", "level")


def draw(seed: int = 0, other: bool = True, row=(0, 0, 0, 2, 2, 2)):
    """A batch of six tokens, five choices, three rows, the second of them without an answer."""
    g = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).tolist()

    labels = torch.randint(5, (len(row),), generator=g).tolist()
    alternate = draw(seed + 1, other=False, row=(0, 0, 2)) if other else None
    own = numbers(len(row), 5), labels, list(row), numbers(len(row), 5), numbers(len(row), 4), alternate
    levels = (torch.rand(len(row), generator=g, dtype=torch.float64) * 4 + 0.1).tolist()
    return cases.Batch(*own, base=numbers(len(row), 5), level=levels)


def answers_of(batch, rows: int = 3) -> tuple[Answers, torch.Tensor, torch.Tensor]:
    """The same as tensors, with the leaves that a gradient is taken with respect to."""
    z = torch.tensor(batch.z, dtype=torch.float64, requires_grad=True)
    hidden = torch.tensor(batch.hidden, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(batch.y)
    places = torch.arange(len(batch.y))
    ref = torch.tensor(batch.ref, dtype=torch.float64).log_softmax(-1)
    base = torch.tensor(batch.base, dtype=torch.float64).log_softmax(-1)
    made = Answers(
        nll=-z.log_softmax(-1)[places, labels],
        row=torch.tensor(batch.row),
        rows=rows,
        labels=labels,
        logits=z,
        hidden=hidden,
        reference=Reference(-ref[places, labels], ref),
        teacher=Reference(-base[places, labels], base),
        level=torch.tensor(batch.level, dtype=torch.float64),
        alternate=None if batch.other is None else answers_of(batch.other, rows)[0],
    )
    return made, z, hidden


def resolved(side, name, case):
    return TABLES[side][0][name].with_parameters(case.parameters, name)


@pytest.mark.parametrize("side", TABLES)
def test_every_objective_has_a_case(side):
    table, rows = TABLES[side]
    assert set(table) == set(rows)


@pytest.mark.parametrize(("side", "name", "case"), ROWS)
@pytest.mark.parametrize("seed", [0, 5])
def test_value_equals_a_slow_twin(side, name, case, seed):
    batch = draw(seed)
    found = resolved(side, name, case)(answers_of(batch)[0])
    assert found.shape == ()
    assert found.item() == pytest.approx(case.twin(batch), rel=1e-10, abs=1e-12)


# The gradient of idk goes through the alternate answers: the test below.
@pytest.mark.parametrize(("side", "name", "case"), [row for row in ROWS if row.values[1] != "idk"])
def test_gradient_equals_finite_differences_of_the_twin(side, name, case):
    batch = draw()
    made, z, hidden = answers_of(batch)
    objective = resolved(side, name, case)
    (of_z, of_hidden) = torch.autograd.grad(objective(made), [z, hidden], allow_unused=True, materialize_grads=True)
    twin = case.twin if case.frozen is None else case.frozen(batch)
    for attribute, gradient in (("z", of_z), ("hidden", of_hidden)):
        for i, line in enumerate(getattr(batch, attribute)):
            for j in range(len(line)):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = copy.deepcopy(batch)
                    getattr(moved, attribute)[i][j] += step
                    ends.append(twin(moved))
                expected = (ends[0] - ends[1]) / 2e-6
                assert gradient[i, j].item() == pytest.approx(expected, rel=1e-6, abs=2e-7)


def test_the_gradient_of_idk_is_that_of_the_other_answers_alone():
    made, z, _ = answers_of(draw())
    loss = FORGET_OBJECTIVES["idk"](made)
    assert torch.autograd.grad(loss, z, allow_unused=True, retain_graph=True) == (None,)
    (gradient,) = torch.autograd.grad(loss, made.alternate.nll)
    assert gradient.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("side", "name", "case"), ROWS)
def test_sums_add_up_over_batches(side, name, case):
    whole = draw()
    first, second = (
        replace(
            whole,
            **{key: getattr(whole, key)[part] for key in PER_TOKEN},
            other=replace(whole.other, **{key: getattr(whole.other, key)[cut] for key in PER_TOKEN}),
        )
        for part, cut in ((slice(0, 3), slice(0, 2)), (slice(3, 6), slice(2, 3)))
    )
    objective = resolved(side, name, case)
    total = sum(objective(answers_of(batch)[0]).item() for batch in (first, second))
    assert total == pytest.approx(objective(answers_of(whole)[0]).item(), rel=1e-12)


@pytest.mark.parametrize(("side", "name", "case"), ROWS)
def test_units_are_those_of_the_sum(side, name, case):
    batch = draw()
    objective = resolved(side, name, case)
    counted = batch if objective.own_answers else batch.other
    labels = torch.full((3, 8), -100)
    for r in cases.rows(counted):
        labels[r, 2 : 2 + counted.row.count(r)] = 1
    assert int(count_units(labels, objective.unit)) == case.units(batch)


@pytest.mark.parametrize(("side", "name", "case"), ROWS)
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e3])
def test_values_and_gradients_stay_finite(side, name, case, scale):
    batch = draw()
    extreme = replace(batch, z=[[scale * x for x in line] for line in batch.z])
    made, z, hidden = answers_of(extreme)
    objective = resolved(side, name, case)
    value = objective(replace(made, alternate=answers_of(extreme.other)[0]))
    assert math.isfinite(value.item())
    gradients = torch.autograd.grad(value, [z, hidden], allow_unused=True, materialize_grads=True)
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(("side", "name", "case"), ROWS)
def test_a_batch_without_answers_adds_nothing(side, name, case):
    wide = torch.zeros(0, 5, dtype=torch.float64)
    labels = torch.zeros(0, dtype=torch.int64)
    reference = Reference(wide.sum(-1), wide)
    others = {"reference": reference, "teacher": reference, "level": wide.sum(-1)}
    made = Answers(wide.sum(-1), labels, rows=2, labels=labels, logits=wide, hidden=wide, **others)
    made = replace(made, alternate=made)
    assert resolved(side, name, case)(made).item() == 0.0


@pytest.mark.parametrize("name", ["ce", "npo", "simnpo", "dpo", "wga", "satimp"])
def test_minimising_never_makes_a_forgotten_token_likelier(name):
    made, _, _ = answers_of(draw())
    (gradient,) = torch.autograd.grad(FORGET_OBJECTIVES[name](made), made.nll)
    assert (gradient <= 0).all()


def test_npo_starts_as_ascent_and_fades():
    made, _, _ = answers_of(draw())
    for shift, expected in ((0.0, 1.0), (100.0, 2 / (1 + math.exp(0.1 * 300)))):
        nll = made.nll.detach().clone().requires_grad_()
        at = replace(made, nll=nll, reference=Reference(nll.detach() - shift))
        (gradient,) = torch.autograd.grad(FORGET_OBJECTIVES["npo"](at), nll)
        assert gradient.tolist() == pytest.approx([-expected] * 6)


def test_kl_is_zero_where_it_starts_and_positive_elsewhere():
    batch = draw()
    same = answers_of(replace(batch, z=batch.ref))[0]
    assert RETAIN_OBJECTIVES["kl"](same).item() == pytest.approx(0.0, abs=1e-12)
    assert RETAIN_OBJECTIVES["kl"](answers_of(batch)[0]).item() > 0.1


def test_per_row_sums():
    batch, _, _ = answers_of(draw())
    sums, counts = batch.per_row()
    assert counts.tolist() == [3, 0, 3]
    assert sums[0].item() == pytest.approx(batch.nll[:3].sum().item())
    assert sums[1].item() == 0.0


@pytest.mark.parametrize(
    ("option", "expected"),
    [("random", math.log(1000)), ("none", None), (None, None), ("2.5", 2.5), (3, 3.0), ("holdout", 4.0)],
)
def test_ceiling(option, expected):
    assert forget_ceiling(option, vocabulary=1000, holdout_loss=4.0) == expected


@pytest.mark.parametrize("option", ["maximum", "0", "-1", "nan", "inf", ""])
def test_ceilings_that_make_no_sense(option):
    with pytest.raises(InputError, match=f"--forget-ceiling {option} is none of random, holdout, none"):
        forget_ceiling(option, vocabulary=10)


def test_a_holdout_ceiling_needs_a_holdout_set():
    with pytest.raises(InputError, match="needs --holdout"):
        forget_ceiling("holdout", vocabulary=10)
