import pytest
import torch
from torch import nn

from ngdiff.errors import InputError
from ngdiff.estimate import Estimate, describe, estimate
from ngdiff.estimate.processes import part_of_one_process
from ngdiff.estimate.speed import product_speed

from .conftest import VOCABULARY


@pytest.fixture(scope="module")
def found(config_file, options, rows) -> Estimate:
    return estimate(config_file(), options(max_steps=30), rows(12, 1), rows(20, 2), tokenizer=range(VOCABULARY))


def test_the_peak_is_that_of_the_worst_moment(found):
    assert found.peak.total == max(peak.total for peak in found.peaks.values())
    assert found.peak == found.peaks[found.moment]


def test_time_is_operations_over_speed(found):
    assert found.seconds == found.operations / (found.speed * found.efficiency)
    # 30 steps, one search, three probes and the losses before and after.
    assert found.operations > found.steps * found.step_operations
    assert found.operations < 2 * found.steps * found.step_operations


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "passes"),
    # In two micro-batches the 12 rows to forget fill a step and a half, beside two whole ones of rows to retain.
    [({"gradient_buffers": 1}, 3), ({"gradient_accumulation_steps": 2}, 2 + 1.5)],
)
def test_passes_that_are_taken_again_take_time(option, passes, config_file, options, rows, found):
    other = estimate(
        config_file(), options(max_steps=30, **option), rows(12, 1), rows(20, 2), tokenizer=range(VOCABULARY)
    )
    assert other.step_operations / found.step_operations == pytest.approx(passes / 2, rel=0.1)


def test_the_text_names_moment_parts_and_uncertainty(found):
    text = describe(found)
    assert f"in the {found.moment}" in text
    for part in ("weights", "gradients", "optimizer state", "activations"):
        assert part in text
    assert "These are estimates." in text
    assert "for 30 steps" in text


@pytest.mark.slow
def test_a_seven_billion_model(options, rows, checkpointed):
    config = options(**checkpointed, autolr_memory="lean", max_steps=10)
    found = estimate("llama-2-7b", config, rows(8, 1), rows(8, 2), tokenizer=range(VOCABULARY), dtype="bfloat16")
    weights = found.peak.parts["weights"]
    assert 2 * 6.7e9 < weights < 2 * 6.8e9
    assert 5 * weights < found.peak.total < 5.1 * weights


@pytest.mark.parametrize(
    ("model", "message"),
    [("no/such/folder/at/all", "no such folder"), ("missing-shape.json", "not known"), (".", "no config.json")],
)
def test_models_that_are_none(model, message, options, rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        estimate(model, options(), rows(4, 1), rows(4, 2), tokenizer=range(VOCABULARY))


class Layer(nn.Linear):
    pass


class Stack(nn.Module):
    _no_split_modules = ("Layer",)

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.layers = nn.ModuleList(Layer(4, 4, bias=False) for _ in range(3))


def test_several_processes():
    parts = {"weights": 1000, "gradients": 2001, "activations": 50}
    model = Stack()
    assert part_of_one_process(parts, model, processes=1, sharded=False) == parts
    ddp = part_of_one_process(parts, model, processes=4, sharded=False)
    assert ddp == {**parts, "buckets of DDP": (7 * 4 + 3 * 16) * 4}
    fsdp = part_of_one_process(parts, model, processes=4, sharded=True)
    assert fsdp == {"weights": 250, "gradients": 501, "activations": 50, "gathered weights": (7 * 4 + 3 * 16) * 4}


def test_a_speed_is_one_of_this_machine():
    speed = product_speed(64, 256, 256, dtype=torch.float32)
    assert 1e7 < speed < 1e16
