"""A model of a few thousand parameters and rows of random tokens."""

from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from ngdiff.speed import Forward, choose_forward
from ngdiff.training import UnlearnConfig, UnlearnTrainer

from ..tiny import TOKENS, llama

VOCABULARY = 64


@pytest.fixture
def tiny_model():
    """`tiny_model(seed, **config)`: the same weights for the same arguments."""

    def make(seed: int = 0, **config) -> LlamaForCausalLM:
        return llama(seed, **{"vocab_size": VOCABULARY, "initializer_range": 0.2, **TOKENS, **config})

    return make


@pytest.fixture
def base_model(tiny_model):
    """`base_model()`: of the same shape, which knows no row."""

    def make() -> LlamaForCausalLM:
        made, generator = tiny_model(), torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in made.parameters():
                weight += 0.5 * torch.randn(weight.shape, generator=generator)
        return made

    return make


@pytest.fixture
def random_rows():
    """`random_rows(n, seed)`: encoded rows of 10 to 24 tokens, the first third of each a prompt."""

    def make(n: int, seed: int) -> list[dict[str, list[int]]]:
        g = torch.Generator().manual_seed(seed)
        rows = []
        for _ in range(n):
            length = int(torch.randint(10, 24, (1,), generator=g))
            ids = torch.randint(3, VOCABULARY, (length,), generator=g).tolist()
            rows.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
        return rows

    return make


@pytest.fixture
def make_trainer(tmp_path, tiny_model, random_rows):
    """`make_trainer(**options)`: an `UnlearnTrainer`; options that are not its own go to `UnlearnConfig`."""

    def make(model=None, *, forget=12, retain=20, output=None, **options) -> UnlearnTrainer:
        own = (
            "peft_config",
            "callbacks",
            "optimizers",
            "eval_dataset",
            "holdout_dataset",
            "protect_dataset",
            "base_model",
            "processing_class",
        )
        extra = {key: options.pop(key) for key in own if key in options}
        defaults = {
            "output_dir": str(output or tmp_path / "run"),
            "use_cpu": True,
            "disable_tqdm": True,
            "report_to": [],
            "save_strategy": "no",
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "forget_ceiling": "none",
            "dataloader_pin_memory": False,
        }
        args = UnlearnConfig(**{**defaults, **options})
        return UnlearnTrainer(
            tiny_model() if model is None else model,
            args,
            random_rows(forget, 1) if isinstance(forget, int) else forget,
            random_rows(retain, 2) if isinstance(retain, int) else retain,
            **extra,
        )

    return make


@pytest.fixture
def without(monkeypatch):
    """`without("cut", ...)`: runs that start afterwards leave these savings of a forward pass out."""

    def leave_out(*savings: str) -> None:
        plain = Forward()
        values = {name: getattr(plain, name) for name in savings}
        monkeypatch.setattr(
            "ngdiff.tasks.text.choose_forward", lambda *given: replace(choose_forward(*given), **values)
        )

    return leave_out
