"""Against a plain loop in float64: one sequence at a time, no padding, no sorting."""

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ngdiff.evaluation.likelihood import token_nll, token_scores

IGNORED = -100
Sequences = list[tuple[list[int], list[int]]]


def plain_loop(model: Any, sequences: Sequences) -> list[torch.Tensor]:
    exact = copy.deepcopy(model).double().eval()
    values = []
    for ids, labels in sequences:
        with torch.no_grad():
            logits = exact(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0]
        log_p = torch.log_softmax(logits, dim=-1)
        own = [-log_p[t - 1, labels[t]] for t in range(1, len(ids)) if labels[t] != IGNORED]
        values.append(torch.stack(own) if own else torch.zeros(0, dtype=torch.float64))
    return values


@pytest.fixture
def sequences(tokenizer: Any) -> Sequences:
    """Lengths 1 to 90, prompts of every length (none, and all of the sequence, included)."""
    draw = torch.Generator().manual_seed(1)
    result = []
    for length in [1, 2, 90, 33, 7, 33, 12, 60, 5, 41, 2, 18]:
        ids = torch.randint(0, len(tokenizer), (length,), generator=draw).tolist()
        prompt = int(torch.randint(0, length + 1, (1,), generator=draw))
        result.append((ids, [IGNORED] * prompt + ids[prompt:]))
    return result


@pytest.mark.parametrize("budget", [1, 64, 200, 100_000])
def test_batching_padding_and_sorting_change_nothing(model: Any, sequences: Sequences, budget: int) -> None:
    found = token_nll(model, sequences, tokens_per_batch=budget, show_progress=False)
    assert [len(values) for values in found] == [len(values) for values in plain_loop(model, sequences)]
    for values, exact in zip(found, plain_loop(model, sequences), strict=True):
        assert values.dtype == torch.float64
        # fp32 rounding of logits of size 10
        torch.testing.assert_close(values, exact, rtol=1e-5, atol=2e-5)


def test_a_model_that_cannot_skip_logits_gives_the_same(sequences: Sequences, tokenizer: Any, model: Any) -> None:
    class Older(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.device = torch.device("cpu")

        def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    for older, newer in zip(
        token_nll(Older(), sequences, show_progress=False),
        token_nll(model, sequences, show_progress=False),
        strict=True,
    ):
        torch.testing.assert_close(older, newer, rtol=1e-5, atol=1e-5)


def test_logits_before_the_first_label_are_not_computed(tokenizer: Any, model: Any) -> None:
    shapes = []
    model.register_forward_hook(lambda *call: shapes.append(tuple(call[-1].logits.shape)))
    ids = list(range(20))
    token_nll(model, [(ids, [IGNORED] * 15 + ids[15:]), (ids, [IGNORED] * 17 + ids[17:])], show_progress=False)
    assert shapes == [(2, 6, len(tokenizer))]  # positions 14 to 19


def test_more_labels_than_one_chunk_of_logits(
    model: Any, monkeypatch: pytest.MonkeyPatch, sequences: Sequences
) -> None:
    whole = token_nll(model, sequences, show_progress=False)
    monkeypatch.setattr("ngdiff.evaluation.likelihood._LOGIT_ROWS", 7)
    for chunked, values in zip(token_nll(model, sequences, show_progress=False), whole, strict=True):
        assert torch.equal(chunked, values)


def test_the_attention_mask_comes_from_lengths(model: Any) -> None:
    """Token 0, which also fills the padding, is seen where it is part of a sequence."""
    masks = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: masks.append(kwargs["attention_mask"].tolist()), with_kwargs=True
    )
    token_nll(model, [([0, 0], [IGNORED, 0]), ([5, 0, 7, 0], [5, 0, 7, 0])], show_progress=False)
    assert masks == [[[1, 1, 1, 1], [1, 1, 0, 0]]]


def test_the_model_is_left_as_it_was(model: Any, sequences: Sequences) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    token_nll(model, sequences, show_progress=False)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_half_precision_models_get_an_fp32_softmax(tokenizer: Any, model: Any, sequences: Sequences) -> None:
    half = model.to(torch.bfloat16)
    for values, exact in zip(token_nll(half, sequences, show_progress=False), plain_loop(half, sequences), strict=True):
        torch.testing.assert_close(values, exact, rtol=0.05, atol=0.5)
        assert torch.equal(values, values.float().double())
        # values rounded to bfloat16 would carry 8 bits
        assert len(values) < 10 or not torch.equal(values, values.bfloat16().double())


def test_progress_bar(model: Any, sequences: Sequences, capsys: pytest.CaptureFixture[str]) -> None:
    token_nll(model, sequences, description="forget: losses")
    assert "forget: losses: 100%" in capsys.readouterr().err
    token_nll(model, sequences, show_progress=False)
    assert capsys.readouterr().err == ""


def test_no_sequences(model: Any) -> None:
    assert token_nll(model, [], show_progress=False) == []


def slow_scores(model: Any, ids: list[int], labels: list[int]) -> tuple[list[float], list[int], int | None]:
    """z, hit and the first choice at the first miss; word by word in float64, from p and not from logits."""
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        logits = exact(input_ids=torch.tensor([ids])).logits[0]
    z, hit, said = [], [], None
    for t in range(1, len(ids)):
        if labels[t] == IGNORED:
            continue
        p = torch.softmax(logits[t - 1], dim=-1)
        log_p = [float(value) for value in p.log()]
        mu = sum(float(a) * b for a, b in zip(p, log_p, strict=True))
        sigma = sum(float(a) * (b - mu) ** 2 for a, b in zip(p, log_p, strict=True)) ** 0.5
        z.append((log_p[labels[t]] - mu) / sigma)
        best = max(range(len(log_p)), key=log_p.__getitem__)
        hit.append(int(best == labels[t]))
        if said is None and not hit[-1]:
            said = best
    return z, hit, said


def test_z_and_hit_against_a_loop_over_the_vocabulary(model: Any, reciting: Any, sequences: Sequences) -> None:
    sequences = [s for s in sequences if len(s[0]) < 40]
    choices = []  # what the models themselves prefer, so that there are hits
    for ids, labels in sequences:
        with torch.no_grad():
            best = reciting.eval()(input_ids=torch.tensor([ids])).logits[0].argmax(dim=-1).tolist()
        choices.append((ids, [IGNORED, *best[:-1]] if len(ids) > 4 else labels))
    for network in (model, reciting):
        found = token_scores(network, [*sequences, *choices], tokens_per_batch=128, show_progress=False)
        for scores, (ids, labels) in zip(found, [*sequences, *choices], strict=True):
            z, hit, said = slow_scores(network, ids, labels)
            torch.testing.assert_close(torch.tensor(scores.z), torch.tensor(z), rtol=1e-3, atol=1e-4)
            assert (scores.hit, scores.said) == (hit, said)
    assert any(all(scores.hit) and scores.said is None and scores.nll for scores in found)


def test_details_only_where_they_are_wanted(model: Any, sequences: Sequences) -> None:
    wanted = [i % 2 == 0 for i in range(len(sequences))]
    whole = token_scores(model, sequences, show_progress=False)
    found = token_scores(model, sequences, detailed=wanted, show_progress=False)
    for scores, all_of, detailed in zip(found, whole, wanted, strict=True):
        assert scores.nll == all_of.nll
        assert (scores.z, scores.hit, scores.said) == (
            (all_of.z, all_of.hit, all_of.said) if detailed else ([], [], None)
        )


class Fixed(torch.nn.Module):
    """The same logits everywhere."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: Any, use_cache: bool) -> Any:
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))


@pytest.mark.parametrize(
    ("logits", "label", "z"),
    [
        ([0.0, 0.0, 0.0], 1, 0.0),  # uniform: sigma is 0
        ([0.0, 900.0, 0.0], 1, 0.0),  # certain
        # p = 1/2, 1/2, and a word that cannot come: log p of it counts for nothing
        ([0.0, 0.0, -math.inf], 1, 0.0),
        # p = 3/4, 1/4: mu = log(3/4) - log(3)/4, sigma = sqrt(3)/4 log 3
        ([math.log(3.0), 0.0, -math.inf], 0, 1 / math.sqrt(3.0)),
        ([math.log(3.0), 0.0, -math.inf], 1, -math.sqrt(3.0)),
    ],
)
def test_z_at_its_limits(logits: list[float], label: int, z: float) -> None:
    scores = token_scores(Fixed(logits), [([0, label], [IGNORED, label])], show_progress=False)[0]
    assert scores.z == [pytest.approx(z, abs=1e-6)]
    assert math.isfinite(scores.nll[0])
