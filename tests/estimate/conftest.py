"""Models with and without values, their rows, and estimates of small runs."""

from dataclasses import fields
from functools import cache

import pytest
import torch
from peft import LoraConfig
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM

from ngdiff.estimate.fake_model import fake_model
from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.live import LiveBytes
from ngdiff.estimate.rehearsal import RehearsalTrainer, rehearsal_options
from ngdiff.training import UnlearnConfig
from ngdiff.training.pairing import Pair

from ..tiny import SIZES

VOCABULARY = 96

CONFIGS = {
    "llama": {**SIZES, "vocab_size": VOCABULARY, "intermediate_size": 80},
    "gpt2": {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}


@pytest.fixture(scope="session")
def checkpointed():
    """Options for activations that are computed again: renamed within transformers 5."""
    names = {field.name for field in fields(UnlearnConfig)}
    new, old = "activation_checkpointing", "gradient_checkpointing"
    return {new if new in names else old: True}


@pytest.fixture(scope="session")
def config_file(tmp_path_factory):
    """`config_file("llama")`: a `config.json` of a tiny model."""

    def make(kind: str = "llama"):
        folder = tmp_path_factory.mktemp(kind)
        AutoConfig.for_model(kind, **CONFIGS[kind]).save_pretrained(folder)
        return folder / "config.json"

    return make


@pytest.fixture
def pair_of_models(config_file):
    """`pair_of_models(kind)`: a model with values, the same without, and the mode of the latter."""

    def make(kind: str):
        file = config_file(kind)
        mode = FakeRun(FakeTensorMode())
        fake = fake_model(file, mode.fake, tokenizer=range(VOCABULARY))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            real = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(file))
        return real, fake, mode

    return make


@pytest.fixture(scope="session")
def rows():
    """`rows(n, seed)`: encoded rows of 10 to 24 tokens, the first third of each a prompt."""

    def make(n: int, seed: int) -> list[dict[str, list[int]]]:
        g = torch.Generator().manual_seed(seed)
        made = []
        for _ in range(n):
            length = int(torch.randint(10, 24, (1,), generator=g))
            ids = torch.randint(3, VOCABULARY, (length,), generator=g).tolist()
            made.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
        return made

    return make


@pytest.fixture(scope="session")
def never(tmp_path_factory):
    """A folder that must not come into being."""
    return tmp_path_factory.mktemp("runs") / "never"


@pytest.fixture(scope="session")
def options(never):
    """`options(**more)`: an `UnlearnConfig`."""

    def make(**more) -> UnlearnConfig:
        defaults = {"use_cpu": True, "per_device_train_batch_size": 4, "num_train_epochs": 1}
        return UnlearnConfig(output_dir=str(never), **{**defaults, **more})

    return make


@pytest.fixture(scope="session")
def rehearse(config_file, options, rows):
    """`rehearse(**options)`: what a rehearsal of 12 forget and 20 retain rows finds; the same for the same options."""

    @cache
    def make(*, dtype: str = "float32", lora_rank: int = 0, show_progress: bool = False, protect: int = 0, **more):
        mode = FakeRun(FakeTensorMode())
        adapter = LoraConfig(r=lora_rank, target_modules="all-linear") if lora_rank else None
        model = fake_model(config_file(), mode.fake, tokenizer=range(VOCABULARY), dtype=dtype, peft_config=adapter)
        with rehearsal_options(options(**more)) as args:
            ends = args.resolve_objectives()["forget"].ends
            trainer = RehearsalTrainer(
                model,
                args,
                rows(12, 1),
                rows(20, 2),
                holdout_dataset=rows(6, 3) if ends else None,
                protect_dataset=rows(protect, 5) if protect else None,
                base_model=model if ends else None,
                mode=mode,
                live=LiveBytes(),
                show_progress=show_progress,
            )
            return trainer.rehearse([Pair(i, i, protect=0 if protect and i == 0 else None) for i in range(4)])

    return make
