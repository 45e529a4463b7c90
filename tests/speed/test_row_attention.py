"""Attention of rows by themselves against `sdpa` with a block-diagonal mask, and whole models against padded rows."""

import copy
import json
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Gemma3Config, PhiConfig, PhiForCausalLM, Qwen2Config
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ngdiff.speed import Forward
from ngdiff.speed.checks import difference_if_packed
from ngdiff.speed.cpu.row_attention import (
    NAME,
    attend_by_rows,
    mask_of_rows,
    packed_rows,
    uses_row_attention,
    using_row_attention,
)
from ngdiff.speed.packing import RowBlocks, packed

from .models import CONFIGS, VOCABULARY, assert_close, build
from .passes import quick

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


def blocks(lengths=LENGTHS) -> RowBlocks:
    """Those of rows of these lengths."""
    ids = torch.arange(1, 1 + len(lengths) * max(lengths)).view(len(lengths), -1)
    given = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    found = packed({"input_ids": ids, "attention_mask": given.long()}, torch.tensor([1]), blocks=True).blocks
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

    monkeypatch.setattr("ngdiff.speed.cpu.row_attention.sdpa_attention_forward", watched)
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
def test_answers_and_gradients_are_those_of_padded_rows(name, checkpointing, batch):
    model = build(BY_ROWS[name])
    if checkpointing:
        checkpoint(model)
    results = []
    for row_attention in (False, True):
        model.zero_grad()
        forward = Forward(cut=True, packing=row_attention, row_attention=row_attention)
        with forward.attached(model):  # also around the backward pass, in which checkpointed layers are run again
            answers = forward(model, batch, {"logits"})
            (answers.nll * torch.arange(1, len(answers.nll) + 1) / len(answers.nll)).sum().backward()
        results.append((answers, torch.cat([p.grad.flatten() for p in model.parameters()])))
    (plain, expected), (found, gradient) = results
    assert_close(found.nll, plain.nll)
    assert_close(found.logits, plain.logits, 2e-6)
    assert (gradient - expected).norm() <= 1e-6 * expected.norm()
    assert difference_if_packed(model.eval(), batch, row_attention=True) == ""


def test_padded_rows_and_generation_are_those_of_sdpa(batch):
    model = build(CONFIGS["llama"])
    prompt = {"input_ids": batch["input_ids"][:2, :6], "attention_mask": torch.ones(2, 6, dtype=torch.int64)}
    found = []
    for attention in (nullcontext(), using_row_attention(model)):
        with attention:
            found.append((quick(model, batch).nll, model.generate(**prompt, max_new_tokens=5, do_sample=False)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_other_attention_is_left_alone():
    model = build(CONFIGS["llama"], attention="eager")
    with using_row_attention(model):
        assert not uses_row_attention(model)
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
    with using_row_attention(model):
        assert uses_row_attention(model) == (text == "sdpa")
        assert now() == {**given, "text_config": NAME if text == "sdpa" else text}
    assert now() == given


def test_a_saved_model_says_nothing_of_it(tmp_path):
    model = build(CONFIGS["llama"])
    with using_row_attention(model):
        model.save_pretrained(tmp_path)
    assert NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


class Unasked(type(build(CONFIGS["llama"]))):
    """Hands nothing down to its layers."""

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, use_cache=None, row_blocks=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)


def test_a_model_that_keeps_the_rows_for_itself_is_found(batch):
    model = Unasked(copy.deepcopy(CONFIGS["llama"])).eval()
    assert "differ" in difference_if_packed(model, batch, row_attention=True)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_block_holds_every_row_beside_others_of_similar_length(data):
    rows = [data.draw(st.lists(st.integers(3, 9), min_size=1, max_size=9)) for _ in range(data.draw(st.integers(1, 6)))]
    padding = data.draw(st.sampled_from(["right", "left"]))
    longest = max(map(len, rows))

    def filled(values, filler):
        missing = [filler] * (longest - len(values))
        return values + missing if padding == "right" else missing + values

    layout = packed(
        {
            "input_ids": torch.tensor([filled(own, 0) for own in rows]),
            "attention_mask": torch.tensor([filled([1] * len(own), 0) for own in rows]),
        },
        torch.zeros(0, dtype=torch.int64),
        blocks=True,
    )
    ids = layout.inputs["input_ids"][0]
    assert ids.tolist() == [token for own in rows for token in own]
    sizes = [count * length for count, length in layout.blocks.shapes]
    apart = zip(layout.blocks.tokens.split(sizes), layout.blocks.shapes, strict=True)
    in_blocks = [row for block, shape in apart for row in block.view(shape)]
    found = list(zip(in_blocks, sorted(rows, key=len, reverse=True), strict=True))
    assert all(ids[tokens[: len(own)]].tolist() == own for tokens, own in found)
    assert all(2 * len(tokens) <= 3 * len(own) for tokens, own in found)
    assert torch.equal(layout.blocks.tokens[layout.blocks.places], torch.arange(len(ids)))
