"""Packed rows against the same rows with padding: equal answers and gradients, or a reason why not."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MistralConfig,
    OPTConfig,
)

from ngdiff.data import AnswerCollator
from ngdiff.modeling.answers import forward_answers
from ngdiff.modeling.checks import says_the_same_when_packed
from ngdiff.modeling.packing import packed, padded
from ngdiff.modeling.row_attention import set_attention

VOCABULARY = 50
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    **_TOKENS,
}
# The windows of 4 tokens are shorter than the rows, and rows stand closer than that.
CONFIGS = {
    "llama": LlamaConfig(**_SMALL),
    "gpt2: learned positions": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2, **_TOKENS
    ),
    "gemma2: windows, soft caps": Gemma2Config(
        **_SMALL, head_dim=8, sliding_window=4, attn_logit_softcapping=3.0, final_logit_softcapping=2.0
    ),
    "mistral: windows": MistralConfig(**_SMALL, sliding_window=4),
}
# They take positions from somewhere else, or pass a state on from token to token.
LEAKING = {
    "opt: positions of its own": OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        **_TOKENS,
    ),
    "bloom: ALiBi": BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, **_TOKENS),
    "mamba: a state": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, **_TOKENS),
}


def build(config, dtype=torch.float32, attention=None) -> nn.Module:
    torch.manual_seed(0)
    own = copy.deepcopy(config)  # models keep the configuration that they are given, and tests change it
    return AutoModelForCausalLM.from_config(own, dtype=dtype, attn_implementation=attention).eval()


def row(length: int, prompt: int, seed: int) -> dict[str, list[int]]:
    ids = torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return {"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]}


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Rows of several lengths; one learned from its first token on, one without an answer, one of a single token."""
    rows = [row(12, 4, 1), row(9, 0, 2), row(7, 7, 3), row(1, 0, 4), row(11, 5, 5)]
    return AnswerCollator(0)(rows)


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-6) -> None:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    assert float((found - expected).detach().abs().max()) <= tolerance * float(expected.detach().abs().max())


@pytest.mark.parametrize("needs", [{"logits", "head_input"}, {"logits", "hidden"}], ids=["head input", "hidden"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CONFIGS)
def test_answers_and_gradients_are_those_of_padded_rows(name, attention, needs, batch):
    if name.startswith("gemma2") and attention == "sdpa":
        attention = "eager"  # soft caps on attention are not for sdpa
    model = build(CONFIGS[name], attention=attention)
    for cut in (True, False):
        results = []
        for packing in (False, True):
            model.zero_grad()
            answers = forward_answers(model, batch, needs, layer=1, cut=cut, packing=packing)
            (answers.nll * torch.arange(1, len(answers.nll) + 1) / len(answers.nll)).sum().backward()
            results.append((answers, [p.grad for p in model.parameters()]))
        (plain, gradients), (found, found_gradients) = results
        assert found.rows == 5
        assert torch.equal(found.row, plain.row)
        assert torch.equal(found.labels, plain.labels)
        assert_close(found.nll, plain.nll)
        assert_close(found.logits, plain.logits, 2e-6)
        assert_close(found.hidden, plain.hidden, 2e-6)
        expected = torch.cat([g.flatten() for g in gradients])
        assert float((torch.cat([g.flatten() for g in found_gradients]) - expected).norm()) <= 1e-6 * expected.norm()
    assert says_the_same_when_packed(model, batch) == ""


def test_the_model_sees_no_padding_and_no_mask(batch):
    model = build(CONFIGS["llama"])
    calls = []
    model.register_forward_pre_hook(lambda module, args, inputs: calls.append(inputs), with_kwargs=True)
    forward_answers(model, batch, packing=True, tails=False)
    (inputs,) = calls
    assert inputs["input_ids"].shape == (1, 11 + 8 + 10), "neither the last token of a row nor rows without an answer"
    assert inputs.get("attention_mask") is None
    assert inputs["position_ids"][0, :20].tolist() == [*range(11), *range(8), 0]


def test_both_layouts_name_the_same_tokens(batch):
    one, other = padded(batch), packed(batch)
    assert torch.equal(one.inputs["input_ids"][one.predicts], other.inputs["input_ids"][other.predicts])
    assert not other.predicts[0, [11, 20, 27, 28, 39]].any(), "the last token of a row predicts nothing of the next"


@pytest.fixture
def turns() -> dict[str, torch.Tensor]:
    """Labels that end before the row does: 3, 0, 6 and 2 tokens behind them; the second row has none."""
    labelled = [(10, range(2, 7)), (8, range(0)), (14, [*range(3, 5), *range(6, 8)]), (6, range(3, 4))]
    rows = [row(length, length, seed) for seed, (length, _) in enumerate(labelled)]
    for one, (_, places) in zip(rows, labelled, strict=True):
        for place in places:
            one["labels"][place] = one["input_ids"][place]
    return AnswerCollator(0)(rows)


def test_what_stands_behind_all_labels_is_left_out(turns):
    one, other = padded(turns, tails=False), packed(turns, tails=False)
    assert one.inputs["input_ids"].shape == one.inputs["attention_mask"].shape == one.predicts.shape == (4, 7)
    assert other.row_lengths == (6, 7, 3)
    assert other.inputs["input_ids"].shape == other.predicts.shape == (1, 16)
    assert torch.equal(one.inputs["input_ids"][one.predicts], other.inputs["input_ids"][other.predicts])
    whole = padded(turns)
    assert torch.equal(whole.inputs["input_ids"][whole.predicts], one.inputs["input_ids"][one.predicts])
    assert padded({name: values.flip(1) for name, values in turns.items()}, tails=False).predicts.shape == (4, 11)


def test_where_no_token_is_a_label_all_are_kept(turns):
    nothing = {**turns, "labels": torch.full_like(turns["labels"], -100)}
    assert padded(nothing, tails=False).inputs["input_ids"].shape == (4, 14)
    assert packed(nothing, tails=False).row_lengths == (10, 8, 14, 6)


@pytest.mark.parametrize(
    ("name", "packing"), [*((name, False) for name in (*CONFIGS, *LEAKING)), *((name, True) for name in CONFIGS)]
)
def test_answers_and_gradients_are_those_of_whole_rows(name, packing, turns):
    gemma = name.startswith("gemma2")  # eager attention; its masks do not fit in the fp32 of its softmax from fp64
    dtype, attention = (torch.float32, "eager") if gemma else (torch.float64, None)
    model, found = build({**CONFIGS, **LEAKING}[name], dtype, attention), []
    for whole in (True, False):
        model.zero_grad()
        answers = forward_answers(model, turns, {"hidden"}, layer=1, cut=not whole, tails=whole, packing=packing)
        (answers.nll * torch.arange(1, len(answers.nll) + 1)).sum().backward()
        gradient = torch.cat(
            [torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in model.parameters()]
        )
        found.append((answers, gradient))
    (whole, expected), (answers, gradient) = found
    assert torch.equal(answers.row, whole.row)
    assert torch.equal(answers.labels, whole.labels)
    for one, other in ((answers.nll, whole.nll), (answers.hidden, whole.hidden), (gradient, expected)):
        assert_close(one, other, 2e-6 if gemma or name.startswith("mamba") else 1e-12)  # mamba computes in part in fp32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LEAKING)
def test_a_model_that_lets_rows_see_each_other_is_found(name, dtype, batch):
    """Also at the small random weights of a new model, which hardly tell in the losses, and in half precision."""
    assert "differ" in says_the_same_when_packed(build(LEAKING[name], dtype), batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", CONFIGS)
def test_half_precision_is_not_taken_for_a_leak(name, dtype, batch):
    assert says_the_same_when_packed(build(CONFIGS[name], dtype), batch) == ""


class WithoutPositions(LlamaForCausalLM):
    """Has no such argument."""

    def forward(self, input_ids=None, attention_mask=None, use_cache=None, labels=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)


class Deaf(LlamaForCausalLM):
    """Has the argument and does not look at it."""

    def forward(self, position_ids=None, **inputs):
        return super().forward(**inputs)


@pytest.mark.parametrize(
    ("kind", "says"), [(WithoutPositions, "TypeError: .*position_ids"), (Deaf, "differ")], ids=lambda value: str(value)
)
@pytest.mark.parametrize("rows", [1, 2])
def test_a_model_without_position_ids_is_found(kind, says, rows):
    torch.manual_seed(0)
    model = kind(CONFIGS["llama"]).eval()
    batch = AnswerCollator(0)([row(9, 3, seed) for seed in range(rows)])
    with pytest.raises(AssertionError, match=says):
        assert says_the_same_when_packed(model, batch) == ""


@pytest.mark.parametrize("unlabelled", [[2], [1, 2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("last", [9, 1])
def test_rows_without_an_answer_hide_no_leak(unlabelled, last):
    """Also where the last row of the batch has none, or but one token."""
    batch = AnswerCollator(0)([row(12, 4, 1), row(9, 3, 2), row(last, 0, 3)])
    batch["labels"][unlabelled] = -100
    for name in LEAKING:
        assert "differ" in says_the_same_when_packed(build(LEAKING[name]), batch), name


def test_rows_of_one_token_say_nothing_about_packing():
    batch = AnswerCollator(0)([row(1, 0, 1), row(1, 0, 2)])
    assert "no row of two tokens" in says_the_same_when_packed(build(CONFIGS["llama"]), batch)


def test_attention_in_chunks_is_not_packed(batch):
    """transformers 5.17 counts chunks from the start of the long row, which a batch within one chunk does not show."""
    model = build(CONFIGS["llama"])
    model.config.attention_chunk_size = 4096
    assert "in chunks" in says_the_same_when_packed(model, batch)


@pytest.mark.parametrize("by_rows", [False, True])
def test_rows_without_tokens(by_rows, batch):
    model = build(CONFIGS["llama"])
    empty = {name: torch.cat([values, torch.zeros_like(values[:1])]) for name, values in batch.items()}
    empty["labels"][-1] = -100
    set_attention(model, by_rows=by_rows)
    found = forward_answers(model, empty, packing=True)
    assert_close(found.nll, forward_answers(model, batch).nll)
    assert found.rows == 6
    nothing = {name: values[-1:] for name, values in empty.items()}
    assert forward_answers(model, nothing, packing=True).nll.shape == (0,)


def test_a_batch_without_labels(batch):
    batch["labels"].fill_(-100)
    model = build(CONFIGS["llama"])
    assert forward_answers(model, batch, packing=True).nll.shape == (0,)
    assert says_the_same_when_packed(model, batch) == ""
