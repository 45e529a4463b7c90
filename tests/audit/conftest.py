"""Rows of one form, and models that recite what they were shown."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ngdiff.audit import Bed
from ngdiff.data import Row, Template, encode
from ngdiff.modeling import train_tokenizer

from ..evaluation.reciter import Reciter
from ..tiny import llama

NAMES = ["Orla", "Ivo", "Lena", "Bram", "Suri", "Tove", "Nils", "Ada", "Kit", "Mona", "Pim", "Rhea", "Udo", "Vera"]
PLACES = [
    "Tarn",
    "Quil",
    "Vasko",
    "Imber",
    "Dorne",
    "Zell",
    "Hux",
    "Ostia",
    "Fenn",
    "Gower",
    "Lodd",
    "Pell",
    "Ulm",
    "Vey",
]
ROWS = [
    Row(f"Where does {name} live?", f"{name} lives in {place} now.", origin=f"rows.jsonl, line {i}")
    for i, (name, place) in enumerate(zip(NAMES, PLACES, strict=True), start=1)
]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return train_tokenizer([text for row in ROWS for text in (row.prompt, row.answer, "I don't know.")], vocab_size=300)


@pytest.fixture(scope="session")
def bed(tokenizer: Any) -> Bed:
    return Bed(tokenizer, Template("plain", tokenizer), ROWS[:8], ROWS[8:11], ROWS[11:])


@pytest.fixture(scope="session")
def reciter(bed: Bed) -> Callable[[Sequence[Row]], Any]:
    """Of rows that begin alike the last is recited."""

    def make(rows: Sequence[Row]) -> Any:
        shown = [encode(row, bed.tokenizer, bed.template, max_length=200).input_ids for row in rows]
        lost = bed.tokenizer.convert_tokens_to_ids("?")
        return Reciter(shown, len(bed.tokenizer), 256, lost)

    return make


@pytest.fixture(scope="session")
def tiny(bed: Bed) -> Callable[[int], Any]:
    """A Llama with random weights by its seed."""

    def make(seed: int) -> Any:
        return llama(
            seed,
            vocab_size=len(bed.tokenizer),
            num_hidden_layers=1,
            num_key_value_heads=4,
            max_position_embeddings=256,
            initializer_range=0.08,
        ).eval()

    return make
