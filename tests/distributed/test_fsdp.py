"""Weights sharded over two processes (FSDP2) walk as whole weights in one process do.

`--fsdp` goes through accelerate's plugin, which accelerate leaves out on CPU; the worker turns it on there, so that the
same code runs as on GPUs, over gloo. Models that transformers shards while loading them need no such help.
"""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from .cases import CASES, INTERRUPTED, SAVED
from .conftest import resumed, spread
from .launch import assert_same_figures, beyond_rounding, distance, launch, moved
from .worker import model

PLUGIN = {"fsdp": True, "fsdp_config": {"version": 2}}
AT_LOAD_TIME = {"sharded": True}
SHARDED = {name: case for name, case in CASES.items() if case.fsdp is not None}
# Enough of both: whatever differs between them is how the model was sharded.
LOADED = ("sgd in two micro-batches", "autolr", "kl", "lora")
TRAINS_LOADED = hasattr(PreTrainedModel, "is_distributed_loading_by_transformers")
at_load_time = pytest.mark.skipif(not TRAINS_LOADED, reason="needs a transformers that trains models loaded sharded")


@pytest.fixture(scope="session")
def sharded(folder, one) -> dict[str, Any]:
    """Everything in one start of two processes."""
    here = folder / "sharded"
    cases = {name: spread(2, {**case.options, **PLUGIN}) for name, case in SHARDED.items()}
    cases["sgd"]["saved"] = str(here / "model")
    cases["lora"]["saved"] = str(here / "adapter")
    if TRAINS_LOADED:
        for name in LOADED:
            cases[f"{name}, at load time"] = spread(2, {**CASES[name].options, **AT_LOAD_TIME})
        cases["sgd in two micro-batches, at load time"]["saved"] = str(here / "loaded")
    for trap, name in (("no_sync", "sgd in two micro-batches"), ("no_reshard", "autolr")):
        cases[trap] = spread(2, {**CASES[name].options, **PLUGIN, "trap": trap})
    cases["interrupted"] = spread(2, {**SAVED, **PLUGIN})
    cases["resumed"] = spread(2, {**resumed(here), **PLUGIN})
    return launch(here, 2, cases)


def tolerance(case, result) -> float:
    assert case.fsdp is not None
    return case.fsdp * (moved(result, dict(model().named_parameters())) if case.relative else 1.0)


@pytest.mark.parametrize(
    "name", [*SHARDED, *(pytest.param(f"{name}, at load time", marks=at_load_time) for name in LOADED)]
)
def test_sharded_weights_walk_as_whole_ones(one, sharded, name):
    plain = name.removesuffix(", at load time")
    assert sharded[name]["sharded"]
    assert_same_figures(one[plain], sharded[name])
    assert beyond_rounding(one[plain], sharded[name]) <= tolerance(CASES[plain], one[plain])


@pytest.mark.parametrize(("trap", "name"), [("no_sync", "sgd in two micro-batches"), ("no_reshard", "autolr")])
def test_these_tests_see_a_missing_precaution(one, sharded, trap, name):
    assert distance(one[name], sharded[trap]) > 10 * tolerance(CASES[name], one[name])


def test_a_sharded_run_resumes(one, sharded):
    assert sharded["interrupted"]["sharded"]
    assert sharded["resumed"]["sharded"]
    assert sharded["resumed"]["logs"] == sharded["interrupted"]["logs"]
    assert distance(sharded["resumed"], sharded["interrupted"]) == 0.0
    assert_same_figures(one["interrupted"], sharded["resumed"])


@pytest.mark.slow
def test_a_sharded_run_goes_on_in_another_number_of_processes(folder, sharded):
    options = {**resumed(folder / "sharded"), **PLUGIN, "per_device_train_batch_size": 1}
    four = launch(folder / "four", 4, {"resumed": options})["resumed"]
    assert_same_figures(sharded["interrupted"], four)
    start = dict(model().named_parameters())
    assert distance(four, sharded["interrupted"]) <= 1e-3 * moved(four, start)
    assert INTERRUPTED["learning_rate"] == "auto"


@pytest.mark.parametrize(
    ("saved", "name"),
    [("model", "sgd"), pytest.param("loaded", "sgd in two micro-batches, at load time", marks=at_load_time)],
)
def test_a_sharded_model_is_written_whole(folder, sharded, saved, name):
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(folder / "sharded" / saved)
    for key, weight in loaded.named_parameters():
        assert torch.equal(weight, sharded[name]["weights"][key]), key


def test_an_adapter_on_sharded_weights_is_written_whole(folder, sharded):
    written = load_file(folder / "sharded" / "adapter" / "adapter_model.safetensors")
    trained = {key: value for key, value in sharded["lora"]["weights"].items() if "lora_" in key}
    assert len(written) == len(trained) == 8  # two layers, two modules, two factors
    for key, value in trained.items():
        assert torch.equal(value, written[key.replace(".default", "")]), key
