"""Attention of rows by themselves against `sdpa` with a block-diagonal mask, and whole models against padded rows."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Gemma3Config, PhiConfig, PhiForCausalLM, Qwen2Config
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ngdiff.data import AnswerCollator
from ngdiff.modeling.answers import forward_answers
from ngdiff.modeling.checks import says_the_same_when_beginning_is_shared, says_the_same_when_packed
from ngdiff.modeling.packing import RowBlocks, packed
from ngdiff.modeling.row_attention import (
    NAME,
    attend_by_rows,
    attends_by_rows,
    longest_without_mask,
    mask_of_rows,
    packed_rows,
    set_attention,
)

from .test_packing import CONFIGS, VOCABULARY, assert_close, batch, build, row  # noqa: F401

LENGTHS = (5, 1, 7)
# The name since transformers 5.20, or the one before.
CHECKPOINTING = next(
    n for n in ("activation_checkpointing", "gradient_checkpointing") if hasattr(PhiForCausalLM, f"{n}_enable")
)
_SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "initializer_range": 0.2, "pad_token_id": 0,
}  # fmt: skip
BY_ROWS = {
    **{name: config for name, config in CONFIGS.items() if not name.startswith("gemma2")},
    "phi: attention beside the rest": PhiConfig(**_SMALL),
    "qwen2: biases": Qwen2Config(**_SMALL, num_key_value_heads=2),
}


def blocks(lengths=LENGTHS, common: int = 0) -> RowBlocks:
    """That of rows which begin with so many common tokens."""
    ids = torch.arange(1, 1 + len(lengths) * max(lengths)).view(len(lengths), -1)
    ids[:, :common] = ids[0, :common]
    given = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    labels = torch.where(torch.arange(max(lengths)) > common, ids, -100)
    found = packed({"input_ids": ids, "attention_mask": given.long(), "labels": labels}, share_up_to=100).blocks
    assert found is not None
    return found


def checkpoint(model: nn.Module) -> None:
    """Train with checkpointed layers, without dropout."""
    model.train()
    getattr(model, f"{CHECKPOINTING}_enable")()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def mask(lengths=LENGTHS, window: int = 100) -> Tensor:
    """(1, 1, S, S) bool."""
    blocks = [torch.ones(n, n, dtype=torch.bool).tril().triu(1 - window) for n in lengths]
    return torch.block_diag(*blocks).bool()[None, None]


def states(heads: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, heads, sum(LENGTHS), 8, dtype=torch.float64, generator=generator, requires_grad=True)


@pytest.mark.parametrize("given", [None, mask(), mask(window=2)], ids=["no mask", "mask", "window"])
@pytest.mark.parametrize("heads", [4, 2])
def test_values_and_gradients_are_those_of_one_masked_call(given, heads):
    layer = nn.Module()
    layer.num_key_value_groups = 4 // heads
    inputs = [states(4, 1), states(heads, 2), states(heads, 3)]
    weights = torch.randn(1, sum(LENGTHS), 4, 8, dtype=torch.float64)
    expected, _ = sdpa_attention_forward(layer, *inputs, mask() if given is None else given, scaling=0.3)
    found, _ = attend_by_rows(layer, *inputs, given, row_blocks=blocks(), scaling=0.3)
    torch.testing.assert_close(found, expected)
    for one, other in zip(*(torch.autograd.grad((weights * x).sum(), inputs) for x in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


def test_with_a_mask_each_row_is_asked_by_itself(monkeypatch):
    """Not all pairs of tokens of the long row."""
    sizes = []

    def watched(module, query, *rest, **options):
        sizes.append(query.shape[2])
        return sdpa_attention_forward(module, query, *rest, **options)

    monkeypatch.setattr("ngdiff.modeling.row_attention.sdpa_attention_forward", watched)
    inputs = [states(4, seed) for seed in range(3)]
    attend_by_rows(nn.Module(), *inputs, mask(window=2), row_blocks=blocks())
    assert tuple(sizes) == LENGTHS


def test_without_a_block_it_is_sdpa():
    inputs = [states(4, seed) for seed in range(3)]
    assert torch.equal(
        attend_by_rows(nn.Module(), *inputs, None)[0], sdpa_attention_forward(nn.Module(), *inputs, None)[0]
    )


@pytest.mark.parametrize(
    ("local_size", "use_vmap", "needed"),
    [(None, False, False), (7, False, False), (6, False, True), (None, True, True)],
)
def test_a_mask_is_made_where_a_row_is_longer_than_a_window(local_size, use_vmap, needed):
    sizes = {"batch_size": 1, "q_length": 13, "kv_length": 13, "allow_is_causal_skip": False}
    with packed_rows(LENGTHS):
        found = mask_of_rows(**sizes, local_size=local_size, use_vmap=use_vmap)
    assert (found is not None) == needed
    assert mask_of_rows(**sizes).shape == (1, 1, 13, 13), "as sdpa, where no rows are packed"


@pytest.mark.parametrize("name", BY_ROWS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_answers_and_gradients_are_those_of_padded_rows(name, checkpointing, batch):  # noqa: F811
    model = build(BY_ROWS[name])
    if checkpointing:
        checkpoint(model)
    results = []
    for by_rows in (False, True):
        set_attention(model, by_rows=by_rows)
        assert attends_by_rows(model) == by_rows
        model.zero_grad()
        answers = forward_answers(model, batch, {"logits"}, packing=by_rows)
        (answers.nll * torch.arange(1, len(answers.nll) + 1) / len(answers.nll)).sum().backward()
        results.append((answers, torch.cat([p.grad.flatten() for p in model.parameters()])))
    (plain, expected), (found, gradient) = results
    assert_close(found.nll, plain.nll)
    assert_close(found.logits, plain.logits, 2e-6)
    assert (gradient - expected).norm() <= 1e-6 * expected.norm()
    assert says_the_same_when_packed(model.eval(), batch) == ""


def test_padded_rows_and_generation_are_those_of_sdpa(batch):  # noqa: F811
    model = build(CONFIGS["llama"])
    prompt = {"input_ids": batch["input_ids"][:2, :6], "attention_mask": torch.ones(2, 6, dtype=torch.int64)}
    found = []
    for by_rows in (False, True):
        set_attention(model, by_rows=by_rows)
        found.append((forward_answers(model, batch).nll, model.generate(**prompt, max_new_tokens=5, do_sample=False)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_other_attention_is_left_alone():
    model = build(CONFIGS["llama"], attention="eager")
    set_attention(model, by_rows=True)
    assert not attends_by_rows(model)
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("text", ["eager", "sdpa"])
def test_of_a_model_with_several_parts_only_the_text_is_changed_and_restored(text):
    given = {"": "sdpa", "text_config": text, "vision_config": "eager"}
    model = nn.Module()
    model.config = Gemma3Config(attn_implementation=given)

    def now() -> dict[str, str]:
        parts = {"": model.config, "text_config": model.config.text_config, "vision_config": model.config.vision_config}
        return {name: config._attn_implementation for name, config in parts.items()}

    assert now() == given
    set_attention(model, by_rows=True)
    assert attends_by_rows(model) == (text == "sdpa")
    assert now() == {**given, "text_config": NAME if text == "sdpa" else text}
    set_attention(model, by_rows=False)
    assert now() == given


def test_a_saved_model_says_nothing_of_it(tmp_path):
    model = build(CONFIGS["llama"])
    set_attention(model, by_rows=True)
    model.save_pretrained(tmp_path)
    assert NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


class Unasked(type(build(CONFIGS["llama"]))):
    """Hands nothing down to its layers."""

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, use_cache=None, row_blocks=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)


def test_a_model_that_keeps_the_rows_for_itself_is_found(batch):  # noqa: F811
    model = Unasked(copy.deepcopy(CONFIGS["llama"])).eval()
    set_attention(model, by_rows=True)
    assert "differ" in says_the_same_when_packed(model, batch)


ROWS = {"several": [(12, 3), (9, 5), (7, 4), (11, 4)], "one token of their own": [(12, 3), (4, 3)], "one row": [(8, 3)]}
# Rows -> tokens that another row has already. Of four: two of the first in three, and the third token of the second in
# two, as it predicts a label of the first.
FOUND = {4: 3 * 2 + 2, 2: 2, 1: 0}


@pytest.fixture(params=ROWS)
def alike(request) -> dict[str, Tensor]:
    """Rows that begin with the same three tokens; lengths and prompts as in `ROWS`."""
    rows = []
    for seed, (length, prompt) in enumerate(ROWS[request.param]):
        own = row(length, prompt, seed)
        own["input_ids"][:3] = [7, 8, 9]
        own["input_ids"][3] = 10 + seed
        own["labels"][prompt:] = own["input_ids"][prompt:]
        rows.append(own)
    return AnswerCollator(0)(rows)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_block_holds_every_row_and_the_long_row_every_beginning_once(data):
    """Against sets of tuples; few kinds of tokens, so that rows have much in common."""
    rows, prompts = [], []
    for _ in range(data.draw(st.integers(1, 5))):
        rows.append(data.draw(st.lists(st.integers(3, 4), min_size=1, max_size=6)))
        prompts.append(data.draw(st.integers(1, len(rows[-1]))))  # without labels where it is the whole row
    padding = data.draw(st.sampled_from(["right", "left"]))
    longest = max(map(len, rows))

    def filled(values, filler):
        missing = [filler] * (longest - len(values))
        return values + missing if padding == "right" else missing + values

    padded_rows = {
        "input_ids": torch.tensor([filled(own, 0) for own in rows]),
        "attention_mask": torch.tensor([filled([1] * len(own), 0) for own in rows]),
        "labels": torch.tensor([filled([-100] * n + own[n:], -100) for own, n in zip(rows, prompts, strict=True)]),
    }
    layout = packed(padded_rows, share_up_to=longest)
    ids = layout.inputs["input_ids"][0]
    sizes = [count * length for count, length in layout.blocks.shapes]
    apart = zip(layout.blocks.tokens.split(sizes), layout.blocks.shapes, strict=True)
    in_blocks = [row for block, shape in apart for row in block.view(shape)]
    found = list(zip(in_blocks, sorted(rows, key=len, reverse=True), strict=True))
    assert all(ids[tokens[: len(own)]].tolist() == own for tokens, own in found)
    assert all(2 * len(tokens) <= 3 * len(own) for tokens, own in found)
    assert torch.equal(layout.blocks.tokens[layout.blocks.places], torch.arange(len(ids)))
    places = layout.inputs["position_ids"][0]
    assert all(places[tokens[: len(own)]].tolist() == list(range(len(own))) for tokens, own in found)
    plain = packed(padded_rows)
    for name in ("input_ids", "position_ids"):
        assert torch.equal(layout.inputs[name][layout.predicts], plain.inputs[name][plain.predicts])
    if padding == "right":
        ends = [n - 1 if n < len(own) else n for own, n in zip(rows, prompts, strict=True)]
        beginnings = {tuple(own[: n + 1]) for own, end in zip(rows, ends, strict=True) for n in range(end)}
        rest = sum(len(own) - end for own, end in zip(rows, ends, strict=True))
        assert len(ids) == len(beginnings) + rest
        assert layout.blocks.shares == (len(ids) < sum(map(len, rows)))


def test_where_there_is_too_much_to_compare_nothing_is_shared(monkeypatch, alike):
    monkeypatch.setattr("ngdiff.modeling.packing._COMPARED", 1)
    assert not packed(alike, share_up_to=100).blocks.shares


@pytest.mark.parametrize("heads", [4, 2])
def test_values_and_gradients_with_one_beginning_are_those_with_one_for_each_row(heads):
    layer = nn.Module()
    layer.num_key_value_groups = 4 // heads
    lengths, beginning = (5, 4, 7), 3
    whole = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 5, 0, 1, 2, 6, 7, 8, 9])  # of each row's tokens, their places
    kept = torch.tensor([0, 1, 2, 3, 4, 8, 12, 13, 14, 15])
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(1, n, 10, 8, dtype=torch.float64, generator=generator, requires_grad=True)
        for n in (4, heads, heads)
    ]
    expected, _ = sdpa_attention_forward(layer, *(x[:, :, whole] for x in inputs), mask(lengths))
    found, _ = attend_by_rows(layer, *inputs, None, row_blocks=blocks(lengths, beginning))
    torch.testing.assert_close(found, expected[:, kept])
    weights = torch.randn(found.shape, dtype=torch.float64, generator=generator)
    for one, other in zip(
        *(torch.autograd.grad((weights * x).sum(), inputs) for x in (found, expected[:, kept])), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("tails", [True, False])
def test_the_layout_holds_a_common_beginning_once(alike, tails):
    plain, found = packed(alike, tails=tails), packed(alike, tails=tails, share_up_to=12)
    rows = len(alike["labels"])
    assert found.blocks.shares == (rows > 1)
    assert found.row_lengths == plain.row_lengths
    assert found.predicts.shape[1] == plain.predicts.shape[1] - FOUND[rows]
    too_long = packed(alike, tails=tails, share_up_to=max(plain.row_lengths) - 1)
    assert not too_long.blocks.shares
    assert torch.equal(too_long.inputs["input_ids"], plain.inputs["input_ids"])


@pytest.mark.parametrize("name", BY_ROWS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_model_says_the_same_with_one_beginning(name, checkpointing, alike):
    model = build(BY_ROWS[name], torch.float64)
    model.config.sliding_window = None
    if checkpointing:
        checkpoint(model)
    set_attention(model, by_rows=True)
    seen, results = [], []
    model.register_forward_pre_hook(
        lambda module, args, inputs: seen.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    for share_up_to in (0, 100):
        model.zero_grad()
        options = {"layer": 1, "tails": False, "packing": True, "share_up_to": share_up_to}
        answers = forward_answers(model, alike, {"hidden", "logits"}, **options)
        (answers.nll * torch.arange(1, len(answers.nll) + 1)).sum().backward()
        results.append((answers, torch.cat([p.grad.flatten() for p in model.parameters()])))
    (plain, expected), (found, gradient) = results
    rows = len(alike["labels"])
    tolerance = 1e-12 if name.startswith(("gpt2", "phi")) else 2e-7  # the others normalise in fp32
    assert seen[1] == seen[0] - FOUND[rows]
    for one, other in ((found.nll, plain.nll), (found.logits, plain.logits), (found.hidden, plain.hidden)):
        assert_close(one, other, tolerance)
    assert (gradient - expected).norm() <= tolerance * expected.norm()
    assert torch.equal(found.row, plain.row)
    assert says_the_same_when_beginning_is_shared(model.eval(), alike, 100) == ""


def test_rows_longer_than_a_window_share_nothing(alike):
    """Masks of transformers count tokens along the long row."""
    model = build(CONFIGS["mistral: windows"])
    set_attention(model, by_rows=True)
    assert longest_without_mask(model) == 4
    assert longest_without_mask(build(CONFIGS["llama"])) > 1 << 40
    short = {name: values[:, :4] for name, values in alike.items()}
    for rows, window in ((alike, 4), (short, 100)):
        found = forward_answers(model, rows, packing=True, share_up_to=window)
        assert_close(found.nll, forward_answers(model, rows).nll)
    assert "RuntimeError" in says_the_same_when_beginning_is_shared(model, alike, 100)
    assert says_the_same_when_beginning_is_shared(model, alike, 4) == "", "compared up to that length"
    one = {name: values[:1, :1] for name, values in alike.items()}
    assert "no beginning" in says_the_same_when_beginning_is_shared(model, one, 4)


class Counting(type(build(CONFIGS["llama"]))):
    """What it says of a token depends on how many there are before it in the pass."""

    def forward(self, input_ids=None, **inputs):
        embedded = self.get_input_embeddings()(input_ids)
        places = torch.arange(input_ids.shape[1], dtype=embedded.dtype)
        return super().forward(inputs_embeds=embedded * (1 + 0.01 * places)[None, :, None], **inputs)


def test_a_model_to_which_the_number_of_tokens_matters_is_found():
    model = Counting(copy.deepcopy(CONFIGS["llama"])).eval()
    set_attention(model, by_rows=True)
    rows = [row(9, 3, 1), row(9, 3, 1)]
    assert "differs" in says_the_same_when_beginning_is_shared(model, AnswerCollator(0)(rows), 100)


def test_tokens_that_predict_labels_are_not_shared():
    learned = AnswerCollator(0)([row(9, 1, 1), row(9, 1, 1)])
    assert not packed(learned, share_up_to=100).blocks.shares
    prompts = AnswerCollator(0)([row(9, 5, 1), row(9, 5, 1)])
    assert packed(prompts, share_up_to=100).inputs["input_ids"].shape == (1, 18 - 4)
