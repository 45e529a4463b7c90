"""Models that do not support left padding are found, and answer as they do alone."""

import logging
from typing import Any

import pytest
import torch

from ngdiff.evaluation.generation import generate_answers
from ngdiff.evaluation.greedy import GreedyGenerator
from ngdiff.evaluation.padding import padding_changes_answers
from ngdiff.evaluation.prompts import Prompt, generation_batches

from .decoding import UNAWARE, unaware

PROMPTS = [[40, 41, 42], [90], [55, 60, 70, 80, 44, 45, 46], [90, 91], list(range(30, 60)), [91], [42, 41, 40]]


@pytest.mark.parametrize("kind", list(UNAWARE))
def test_answers_do_not_depend_on_neighbours(kind: str, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    model = unaware(kind)
    with caplog.at_level(logging.WARNING, logger="ngdiff"):
        together = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff")]
    assert len(told) == (2 if kind == "rwkv" else 1)  # it mixes prompts of one length, too
    assert told[0].startswith("Only prompts of equal length share a batch, which takes longer")
    alone = [generate_answers(model, tokenizer, [p], max_new_tokens=9, show_progress=False)[0] for p in PROMPTS]
    assert together == alone
    assert len(set(alone)) > 2


def test_models_that_know_of_padding(model: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    prompts = [Prompt(tuple(ids), 9) for ids in PROMPTS]
    check = GreedyGenerator(model, tokenizer, frozenset(), 256)
    with caplog.at_level(logging.WARNING, logger="ngdiff"):
        found = check.batches(prompts, 4096)
    assert found == generation_batches(prompts, 4096, 256)
    assert not [record for record in caplog.records if record.name.startswith("ngdiff")]
    assert all(module.training for module in model.modules())


def test_nothing_is_looked_at_where_each_prompt_has_a_batch(model: Any, tokenizer: Any) -> None:
    generator = GreedyGenerator(model, tokenizer, frozenset(), 256)
    model.generate = None  # would fail
    assert generator.batches([Prompt((1, 2), 9), Prompt((3, 4), 9), Prompt((5,), 9)], 1) == [[0], [1], [2]]


def test_prompts_of_one_length_share_a_batch(model: Any, tokenizer: Any) -> None:
    generator = GreedyGenerator(model, tokenizer, frozenset(), 256)
    assert generator.batches([Prompt((1, 2), 9), Prompt((3, 4), 9)], 4096) == [[0, 1]]


def test_batches_of_equal_lengths_hold_every_prompt_once() -> None:
    prompts = [Prompt(tuple(ids), 9) for ids in PROMPTS]
    batches = generation_batches(prompts, 4096, 32, equal_lengths=True)
    assert sorted(index for batch in batches for index in batch) == list(range(len(PROMPTS)))
    assert all(len({prompts[index].length for index in batch}) == 1 for batch in batches)
    assert sorted(map(len, batches)) == [1, 1, 1, 2, 2]


def made_probe(change: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Logits of a made-up model; `change(logits, ids, pad, pads)` is what padding does to a row's."""

    def probe(prompts: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, prompts))
        rows = []
        for ids in prompts:
            logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(sum(ids)), dtype=torch.float64)
            rows.append(change(logits, pad, longest - len(ids)).to(dtype))
        found = torch.stack(rows)
        return found.argmax(-1), found

    return probe


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_what_counts_as_a_difference(dtype: torch.dtype) -> None:
    prompts = [[5], [6, 7, 8, 9]]
    rounding = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 1e-3}[dtype]
    same = made_probe(lambda logits, pad, pads: logits * (1 + rounding * (pads > 0)), dtype)
    assert padding_changes_answers(same, prompts) == ""
    content = made_probe(lambda logits, pad, pads: logits + 0.5 * (pads > 0) * pad * torch.arange(50).cos(), dtype)
    assert "with another token as padding" in padding_changes_answers(content, prompts)
    shifted = made_probe(lambda logits, pad, pads: logits.roll(pads, dims=1), dtype)
    assert "alone logits differ" in padding_changes_answers(shifted, prompts)
    broken = made_probe(lambda logits, pad, pads: logits / (0.0 if pads else 1.0), dtype)
    assert "alone logits differ" in padding_changes_answers(broken, prompts)
    late = made_probe(lambda logits, pad, pads: logits + (pads > 0) * torch.tensor([[0.0], [0], [0], [2]]) * torch.arange(50).cos(), dtype)  # fmt: skip # noqa: E501
    assert "alone logits differ" in padding_changes_answers(late, prompts)
