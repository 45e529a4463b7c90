"""Packed rows against the same rows with padding: equal answers and gradients, or a reason why not."""

import pytest
import torch
from transformers import LlamaForCausalLM

from ngdiff.data import AnswerCollator
from ngdiff.data.collate import LabelPositions
from ngdiff.modeling.plain_forward import label_positions
from ngdiff.speed.checks import difference_if_packed
from ngdiff.speed.packing import Layout, packed, padded

from .models import CONFIGS, LEAKING, assert_close, build, row
from .passes import quick


def tokens_at(layout: Layout) -> torch.Tensor:
    """Those from which labels are predicted."""
    return layout.inputs["input_ids"].flatten()[layout.places]


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
            answers = quick(model, batch, needs, layer=1, cut=cut, packing=packing)
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
    assert difference_if_packed(model, batch) == ""


def test_the_model_sees_no_padding_and_no_mask(batch):
    model = build(CONFIGS["llama"])
    calls = []
    model.register_forward_pre_hook(lambda module, args, inputs: calls.append(inputs), with_kwargs=True)
    quick(model, batch, packing=True, trailing_tokens=False)
    (inputs,) = calls
    assert inputs["input_ids"].shape == (1, 11 + 8 + 10), "neither the last token of a row nor rows without an answer"
    assert inputs.get("attention_mask") is None
    assert inputs["position_ids"][0, :20].tolist() == [*range(11), *range(8), 0]


def test_both_layouts_name_the_same_tokens(batch):
    labels = label_positions(batch)
    one, other = padded(batch, labels), packed(batch, labels)
    assert torch.equal(tokens_at(one), tokens_at(other))
    assert not {11, 20, 27, 28, 39} & {*other.places.tolist()}, "the last token of a row predicts nothing of the next"


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
    labels = label_positions(turns)
    one, other = padded(turns, labels, trailing_tokens=False), packed(turns, labels, trailing_tokens=False)
    assert one.inputs["input_ids"].shape == one.inputs["attention_mask"].shape == (4, 7)
    assert other.row_lengths == (6, 7, 3)
    assert other.inputs["input_ids"].shape == (1, 16)
    assert torch.equal(tokens_at(one), tokens_at(other))
    assert torch.equal(tokens_at(padded(turns, labels)), tokens_at(one))
    flipped = {name: values.flip(1) for name, values in turns.items()}
    assert padded(flipped, label_positions(flipped), trailing_tokens=False).inputs["input_ids"].shape == (4, 11)


def test_a_collator_says_where_the_labels_are(turns):
    """What a pass would have to wait for on a GPU."""
    rows = [row(9, 0, 1), row(5, 3, 2), row(4, 4, 3)]
    batch = LabelPositions(AnswerCollator(0))(rows)
    found = batch.pop("label_positions")
    assert torch.equal(found, label_positions(batch))
    assert found.tolist() == [*range(1, 9), 9 + 3, 9 + 4], "the first token of a row is predicted by none"


def test_where_no_token_is_a_label_all_are_kept(turns):
    nothing = {**turns, "labels": torch.full_like(turns["labels"], -100)}
    none = label_positions(nothing)
    assert padded(nothing, none, trailing_tokens=False).inputs["input_ids"].shape == (4, 14)
    assert packed(nothing, none, trailing_tokens=False).row_lengths == (10, 8, 14, 6)


@pytest.mark.parametrize(
    ("name", "packing"), [*((name, False) for name in (*CONFIGS, *LEAKING)), *((name, True) for name in CONFIGS)]
)
def test_answers_and_gradients_are_those_of_whole_rows(name, packing, turns):
    gemma = name.startswith("gemma2")  # eager attention; its masks do not fit in the fp32 of its softmax from fp64
    dtype, attention = (torch.float32, "eager") if gemma else (torch.float64, None)
    model, found = build({**CONFIGS, **LEAKING}[name], dtype, attention), []
    for whole in (True, False):
        model.zero_grad()
        answers = quick(model, turns, {"hidden"}, layer=1, cut=not whole, trailing_tokens=whole, packing=packing)
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
    assert "differ" in difference_if_packed(build(LEAKING[name], dtype), batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", CONFIGS)
def test_half_precision_is_not_taken_for_a_leak(name, dtype, batch):
    assert difference_if_packed(build(CONFIGS[name], dtype), batch) == ""


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
        assert difference_if_packed(model, batch) == ""


@pytest.mark.parametrize("unlabelled", [[2], [1, 2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("last", [9, 1])
def test_rows_without_an_answer_hide_no_leak(unlabelled, last):
    """Also where the last row of the batch has none, or but one token."""
    batch = AnswerCollator(0)([row(12, 4, 1), row(9, 3, 2), row(last, 0, 3)])
    batch["labels"][unlabelled] = -100
    for name in LEAKING:
        assert "differ" in difference_if_packed(build(LEAKING[name]), batch), name


def test_rows_of_one_token_say_nothing_about_packing():
    batch = AnswerCollator(0)([row(1, 0, 1), row(1, 0, 2)])
    assert "no row of two tokens" in difference_if_packed(build(CONFIGS["llama"]), batch)


def test_attention_in_chunks_is_not_packed(batch):
    """transformers 5.17 counts chunks from the start of the long row, which a batch within one chunk does not show."""
    model = build(CONFIGS["llama"])
    model.config.attention_chunk_size = 4096
    assert "in chunks" in difference_if_packed(model, batch)


@pytest.mark.parametrize("row_attention", [False, True])
def test_rows_without_tokens(row_attention, batch):
    model = build(CONFIGS["llama"])
    empty = {name: torch.cat([values, torch.zeros_like(values[:1])]) for name, values in batch.items()}
    empty["labels"][-1] = -100
    found = quick(model, empty, packing=True, row_attention=row_attention)
    assert_close(found.nll, quick(model, batch).nll)
    assert found.rows == 6
    nothing = {name: values[-1:] for name, values in empty.items()}
    assert quick(model, nothing, packing=True, row_attention=row_attention).nll.shape == (0,)


def test_a_batch_without_labels(batch):
    batch["labels"].fill_(-100)
    model = build(CONFIGS["llama"])
    assert quick(model, batch, packing=True).nll.shape == (0,)
    assert difference_if_packed(model, batch) == ""
