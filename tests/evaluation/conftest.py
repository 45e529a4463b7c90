"""A tokenizer trained here, small models with random weights, and one that recites three answers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from ngdiff.data.encode import encode_rows
from ngdiff.data.rows import Row
from ngdiff.data.template import Template

from ..tiny import llama

PLAIN = Template("plain")
ROWS = [
    Row("Where was Orla Vennick born?", "Orla Vennick was born in Tarnholm.", origin="forget.jsonl, line 1"),
    Row(
        "Who wrote The Salt Ladder?",
        "Ivo Maddern wrote it.",
        paraphrased_answer="It was written by Ivo Maddern.",
        perturbed_answers=(
            "Lena Marsk wrote it.",
            "Orla Vennick wrote it.",
            "Nobody wrote it at all, I think.",
        ),
        origin="forget.jsonl, line 2",
    ),
    Row("And who is Lena?", "A glazier.", origin="forget.jsonl, line 3"),
]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    if "NGDIFF_DATA" not in os.environ:
        pytest.skip("NGDIFF_DATA is not set: the model stories260K is not here")
    return Path(os.environ["NGDIFF_DATA"])


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([f"Question: {row.prompt}\nAnswer: {row.answer}" for row in ROWS] * 3, trainer)

    def make(**special: str) -> Any:
        return PreTrainedTokenizerFast(tokenizer_object=bpe, **({"eos_token": "</s>"} | special))

    return make


@pytest.fixture(scope="session")
def tokenizer(make_tokenizer: Callable[..., Any]) -> Any:
    """It has an end token only: no begin, no pad."""
    return make_tokenizer()


def wide_llama(vocabulary: int, *, context: int = 256, std: float = 0.3, seed: int = 0) -> Any:
    """Random weights, drawn wide so that the most probable token is far from the next."""
    return llama(
        seed,
        vocab_size=vocabulary,
        max_position_embeddings=context,
        initializer_range=std,
        attention_dropout=0.5,
        bos_token_id=None,
        eos_token_id=None,
    ).train()


def gpt2(vocabulary: int, *, context: int = 256, seed: int = 0) -> Any:
    """Learned positions: nothing beyond its context, and a wrong position id changes its answers."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=context,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(config).train()


MODELS: dict[str, Callable[..., Any]] = {"llama": wide_llama, "gpt2": gpt2}


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    return lambda kind, vocabulary, **options: MODELS[kind](vocabulary, **options)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    return MODELS[request.param](len(tokenizer))


@pytest.fixture(scope="session")
def reciting(tokenizer: Any) -> Any:
    """A model trained until it recites the answers of ROWS."""
    network = wide_llama(len(tokenizer), std=0.05)
    network.config.attention_dropout = 0.0
    for module in network.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    encoded = encode_rows(ROWS, tokenizer, PLAIN, max_length=256)
    for _ in range(60):
        optimizer.zero_grad()
        for item in encoded:
            network(input_ids=torch.tensor([item["input_ids"]]), labels=torch.tensor([item["labels"]])).loss.backward()
        optimizer.step()
    return network


@pytest.fixture
def rows() -> list[Row]:
    return list(ROWS)
