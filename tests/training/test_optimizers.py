"""Optimizers by name, with the libraries that they come from."""

import copy
import io
import math
import sys

import pytest
import torch

from ngdiff.errors import InputError
from ngdiff.training.optimizers import OPTIMIZERS, make_optimizer, step_rate

for _library in ("prodigyopt", "dadaptation", "schedulefree"):
    pytest.importorskip(_library, reason="needs the optimizers extra")

FIND_THEIR_STEP = ["prodigy", "dadapt-adam", "dadapt-sgd"]
AVERAGE = ["schedule-free-adamw", "schedule-free-sgd"]
# Rates that suit the quadratic below; None: the default.
RATES = {"schedule-free-adamw": 0.1, "schedule-free-sgd": 1.0}


def quadratic(x, scale=1.0):
    """`scale/2 sum_i a_i x_i^2` with curvatures from 1 to 1.5."""
    return scale / 2 * (torch.linspace(1.0, 1.5, x.numel(), dtype=x.dtype) * x**2).sum()


def start(seed=0):
    return torch.nn.Parameter(torch.randn(10, generator=torch.Generator().manual_seed(seed)))


def descend(optimizer, x, steps, averages, scale=1.0):
    for _ in range(steps):
        if averages:
            optimizer.train()
        optimizer.zero_grad()
        quadratic(x, scale).backward()
        optimizer.step()


def test_the_table_names_what_the_issue_asks_for():
    assert list(OPTIMIZERS) == FIND_THEIR_STEP + AVERAGE
    assert [name for name, row in OPTIMIZERS.items() if row.averages] == AVERAGE
    assert all(OPTIMIZERS[name].learning_rate == 1.0 for name in FIND_THEIR_STEP)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_quadratic_is_descended(name):
    x = start()
    before = quadratic(x).item()
    optimizer = make_optimizer(name, [x], learning_rate=RATES.get(name))
    descend(optimizer, x, 300, OPTIMIZERS[name].averages)
    if OPTIMIZERS[name].averages:
        optimizer.eval()
    assert quadratic(x).item() < 1e-3 * before


@pytest.mark.parametrize("name", FIND_THEIR_STEP)
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_those_that_find_their_step_do_so_whatever_the_scale_of_the_loss(name, scale):
    x = start()
    before = quadratic(x).item()
    optimizer = make_optimizer(name, [x])
    first = OPTIMIZERS[name].rate(optimizer.param_groups[0])
    descend(optimizer, x, 300, False, scale)
    assert quadratic(x).item() < 1e-3 * before
    assert step_rate(name, optimizer) > 100 * first or name == "dadapt-sgd"  # its first is not divided by a norm yet


def test_the_step_rate_of_dadapt_sgd_is_that_of_a_plain_step():
    x = start()
    optimizer = make_optimizer("dadapt-sgd", [x])
    descend(optimizer, x, 30, False)
    optimizer.zero_grad()
    quadratic(x).backward()
    rate = step_rate("dadapt-sgd", optimizer)
    expected = x.detach() - rate * x.grad
    optimizer.step()
    assert torch.allclose(x, expected, atol=1e-6)


@pytest.mark.parametrize("name", AVERAGE)
def test_the_weights_to_use_are_those_after_eval(name):
    x = start()
    optimizer = make_optimizer(name, [x], learning_rate=RATES[name])
    descend(optimizer, x, 20, True)
    during = x.detach().clone()
    optimizer.eval()
    assert not torch.allclose(x, during)
    optimizer.train()
    assert torch.allclose(x, during, atol=1e-6)


@pytest.mark.parametrize("name", AVERAGE)
def test_a_step_outside_train_mode_is_an_error_of_the_library(name):
    x = start()
    optimizer = make_optimizer(name, [x])
    quadratic(x).backward()
    with pytest.raises(Exception, match="not in train mode"):
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_goes_through_a_file_and_the_steps_are_the_same(name):
    """As a checkpoint keeps it: weights and `state_dict`, read without unpickling code."""
    averages = OPTIMIZERS[name].averages
    x = start()
    optimizer = make_optimizer(name, [x], learning_rate=RATES.get(name), weight_decay=0.01)
    descend(optimizer, x, 15, averages)

    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    y = torch.nn.Parameter(copy.deepcopy(x.detach()))
    resumed = make_optimizer(name, [y], learning_rate=RATES.get(name), weight_decay=0.01)
    resumed.load_state_dict(torch.load(file, weights_only=True))

    descend(optimizer, x, 15, averages)
    descend(resumed, y, 15, averages)
    assert torch.equal(x, y)
    assert step_rate(name, resumed) == step_rate(name, optimizer)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("gradient", [None, 0.0])
def test_steps_without_a_gradient_move_nothing_and_break_nothing(name, gradient):
    """The first step of a run whose two sides both rest."""
    x = start()
    origin = x.detach().clone()
    optimizer = make_optimizer(name, [x], learning_rate=RATES.get(name))
    for _ in range(3):
        if OPTIMIZERS[name].averages:
            optimizer.train()
        x.grad = None if gradient is None else torch.zeros_like(x)
        optimizer.step()
    assert torch.equal(x, origin)
    descend(optimizer, x, 300, OPTIMIZERS[name].averages)
    assert math.isfinite(quadratic(x).item())
    assert quadratic(x).item() < 0.1 * quadratic(origin).item()


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "dadapt-sgd"])
def test_weight_decay_is_decoupled(name):
    """With the same gradient a first step differs by `rate * weight_decay * x`, whatever the gradient's length."""
    ends = []
    for decay in (0.0, 0.1):
        x = torch.nn.Parameter(start().detach().double())
        optimizer = make_optimizer(name, [x], learning_rate=RATES.get(name), weight_decay=decay)
        rate = step_rate(name, optimizer)
        descend(optimizer, x, 1, OPTIMIZERS[name].averages, scale=100.0)
        ends.append(x.detach())
    difference = rate * 0.1 * start().detach().double()
    assert torch.allclose(ends[0] - ends[1], difference, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_is_printed(name, capsys):
    make_optimizer(name, [start()], weight_decay=0.1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("prodgy", {}, "--optimizer prodgy: no such optimizer; there are prodigy, .*schedule-free-sgd"),
        ("prodigy", {"learning_rate": 0.0}, "--learning-rate 0 is not a positive number"),
        ("prodigy", {"learning_rate": math.nan}, "--learning-rate nan is not"),
        ("schedule-free-sgd", {"learning_rate": math.inf}, "--learning-rate inf is not"),
        ("dadapt-sgd", {"weight_decay": -0.1}, "--weight-decay -0.1 is not a number from 0 up"),
    ],
)
def test_errors_name_what_was_found(name, options, message):
    with pytest.raises(InputError, match=message):
        make_optimizer(name, [start()], **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_the_package_the_extra_is_named(monkeypatch, name):
    package = OPTIMIZERS[name].package
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'needs the package {package}: pip install "ngdiff\[optimizers\]"'):
        make_optimizer(name, [start()])


# ---- in the trainer ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_trainer_steps_with_it(make_trainer, tiny_model, name):
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(name, list(model.parameters()))
    trainer = make_trainer(model, optimizers=(optimizer, None), learning_rate=OPTIMIZERS[name].learning_rate)
    trainer.train()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert len(moved) > 10
    if OPTIMIZERS[name].averages:  # Trainer has put it into train mode, and leaves it there
        assert optimizer.param_groups[0]["train_mode"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_probe_of_autolr_would_refuse_it_too(make_trainer, tiny_model, name):
    """The table's reason is a fact: the step is not proportional to the learning rate."""
    model = tiny_model()
    optimizer = make_optimizer(name, list(model.parameters()))
    trainer = make_trainer(model, optimizers=(optimizer, None), learning_rate="auto", forget=24, num_train_epochs=4)
    with pytest.raises(InputError, match="cannot be used with AutoLR"):
        trainer.train()
