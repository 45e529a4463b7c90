"""What several sequences begin with is computed once, or each from its start: the same records."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from ngdiff.data.encode import encode
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation import evaluate, predict
from ngdiff.evaluation.batching import batches_by_tokens
from ngdiff.evaluation.journal import Journal
from ngdiff.evaluation.passes import Passes, choose_passes
from ngdiff.evaluation.plan import Limits, Plan, make_plan
from ngdiff.evaluation.predict import add_base_model, predict_plan
from ngdiff.evaluation.work import Work

PLAIN = Template("plain")
CHAT = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
PEOPLE = ("Orla Vennick", "Ivo Maddern", "Lena Marsk", "Basil Tarn", "Ines Kaldor", "Jon Brask")


def questions(people: Sequence[str]) -> list[Row]:
    """Each with six answers."""
    return [_question(name, place) for place, name in enumerate(people)]


def _question(name: str, place: int) -> Row:
    return Row(
        f"Where was {name}{' by all accounts' * (place % 3)} born?",
        f"{name} was born in Tarnholm{' by the sea' * (place % 2)}.",
        paraphrased_answer=f"It was in Tarnholm that {name} was born.",
        perturbed_answers=tuple(f"{name} was born in {town}." for town in ("Salt", "Paris", "Orla by the sea", "Ivo")),
    )


QUESTIONS = questions(PEOPLE)


def plan_of(tokenizer: Any, template: Template = PLAIN, rows: list[Row] = QUESTIONS) -> Plan:
    return make_plan({"forget": EvaluationSet(rows, max_new_tokens=4)}, tokenizer, template, Limits(512, 512))


def close(found: Any, expected: Any, tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        for key in one:
            if isinstance(one[key], float | list) and key not in ("perturbed", "piece"):
                assert one[key] == pytest.approx(other[key], rel=tolerance, abs=tolerance), key
        for part, own in zip(one["perturbed"], other["perturbed"], strict=True):
            assert part["nll_sum"] == pytest.approx(own["nll_sum"], rel=tolerance)
        assert one["generated"] == other["generated"]


@pytest.mark.parametrize(
    ("dtype", "tolerance", "budget", "chat"),
    [(torch.float64, 1e-10, 150, False), (torch.float64, 1e-10, 10_000, True), (torch.float32, 1e-5, 600, True)],
)
def test_records_are_those_of_the_plain_pass(
    model: Any, make_tokenizer: Any, dtype: Any, tolerance: float, budget: int, chat: bool, caplog: Any
) -> None:
    tokenizer, exact = make_tokenizer(), model.to(dtype)
    tokenizer.chat_template = CHAT
    template = Template("chat", tokenizer) if chat else PLAIN
    options: dict[str, Any] = {"max_length": 256, "max_new_tokens": 8, "show_progress": False}
    shapes: list[int] = []
    exact.register_forward_pre_hook(
        lambda module, args, given: shapes.append(given["attention_mask"].dim()) if not given["use_cache"] else None,
        with_kwargs=True,
    )
    found = predict(exact, tokenizer, QUESTIONS, template, tokens_per_batch=budget, **options)
    assert 4 in shapes
    shapes.clear()
    close(found, predict(exact, tokenizer, QUESTIONS, template, speed="off", **options), tolerance)
    assert 4 not in shapes
    assert caplog.text == ""


def test_against_each_answer_alone_in_float64(model: Any, tokenizer: Any) -> None:
    found = predict(model, tokenizer, QUESTIONS, PLAIN, max_length=256, generate=False, show_progress=False)
    exact = copy.deepcopy(model).double().eval()
    for record, row in zip(found, QUESTIONS, strict=True):
        for part, answer in zip(record["perturbed"], row.perturbed_answers, strict=True):
            item = encode(row, tokenizer, PLAIN, max_length=256, answer=answer)
            with torch.no_grad():
                log_p = torch.log_softmax(exact(input_ids=torch.tensor([item.input_ids])).logits[0], dim=-1)
            own = [-float(log_p[t - 1, label]) for t, label in enumerate(item.labels) if label != -100]
            assert part["nll_sum"] == pytest.approx(sum(own), rel=1e-5)


def test_bfloat16_agrees_to_its_rounding(model: Any, tokenizer: Any) -> None:
    half = model.to(torch.bfloat16)
    options: dict[str, Any] = {"max_length": 256, "generate": False, "show_progress": False}
    assert choose_passes(half, plan_of(tokenizer).sequences, 4096, "auto").rows
    found, plain = (predict(half, tokenizer, QUESTIONS, PLAIN, speed=speed, **options) for speed in ("auto", "off"))
    for one, other in zip(found, plain, strict=True):
        assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=0.02)


def test_hardly_more_than_half_the_tokens(model: Any, tokenizer: Any) -> None:
    many = questions([f"{name} {other}" for name in PEOPLE for other in PEOPLE])

    def tokens(speed: str) -> int:
        seen: list[int] = []
        handle = model.register_forward_pre_hook(
            lambda module, args, given: seen.append(given["input_ids"].numel()), with_kwargs=True
        )
        predict(model, tokenizer, many, PLAIN, max_length=256, generate=False, speed=speed, show_progress=False)
        handle.remove()
        return sum(seen)

    assert tokens("auto") < 0.6 * tokens("off")


@pytest.mark.parametrize("budget", [1, 100, 700, 100_000])
def test_each_sequence_in_one_batch_of_the_budget(model: Any, tokenizer: Any, budget: int) -> None:
    text = Row("", "Nobody wrote it at all, I think. " * 40, kind="text")
    sequences = plan_of(tokenizer, rows=[*QUESTIONS, text]).sequences
    passes = choose_passes(model, sequences, budget, "auto")
    assert sorted(index for batch in passes.batches for index in batch) == list(range(len(sequences)))
    assert bool(passes.rows) == (budget > 1)
    assert len(sequences) - 1 not in passes.rows  # the text begins like no other
    for batch in passes.batches:
        rows = passes.rows_of(batch)
        if rows is None:
            assert len(batch) == 1 or len(batch) * max(len(sequences[i][0]) for i in batch) <= budget
        else:
            assert [place for row in rows for place in row] == list(range(len(batch)))
            assert all(passes.rows[batch[place]] == tuple(batch[p] for p in row) for row in rows for place in row)


def test_no_look_where_there_is_little_to_save(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    model.register_forward_pre_hook(lambda *call: pytest.fail("the model was run"))
    for own in (rows, [Row("", text, kind="text") for text in ("Paris is a town.", "Lena wrote it.", "And who?")]):
        sequences = plan_of(tokenizer, rows=own).sequences
        expected = Passes(batches_by_tokens([len(ids) for ids, _ in sequences], 4096))
        assert choose_passes(model, sequences, 4096, "auto") == expected


def test_off_is_the_plain_pass_without_a_look(model: Any, tokenizer: Any) -> None:
    model.register_forward_pre_hook(lambda *call: pytest.fail("the model was run"))
    sequences = plan_of(tokenizer).sequences
    expected = Passes(batches_by_tokens([len(ids) for ids, _ in sequences], 4096))
    assert choose_passes(model, sequences, 4096, "off") == expected


def test_a_model_that_cannot_is_asked_plainly_and_the_log_says_so(tokenizer: Any, caplog: Any) -> None:
    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2))
    options: dict[str, Any] = {"max_length": 256, "generate": False, "show_progress": False}
    with caplog.at_level(logging.WARNING, "ngdiff"):
        found = predict(model, tokenizer, QUESTIONS, PLAIN, **options)
    lines = [record.message for record in caplog.records if "from its start" in record.message]
    assert len(lines) == 1
    assert "would change what this model says" in lines[0]
    assert found == predict(model, tokenizer, QUESTIONS, PLAIN, speed="off", **options)


def test_the_model_is_left_as_it_was(model: Any, tokenizer: Any) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    choose_passes(model, plan_of(tokenizer).sequences, 4096, "auto")
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_resumed_bit_for_bit(model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tokenizer)

    def run(folder: Path | None) -> Any:
        work = Work(journal=Journal(folder), show_progress=False)
        return predict_plan(model, tokenizer, PLAIN, plan, work=work, tokens_per_batch=250)

    whole = run(None)
    kept: list[int] = []
    add = Journal.add

    def killed(self: Journal, stage: str, items: Any, values: Any) -> None:
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(len(items))
        add(self, stage, items, values)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert len(kept) == 2
    assert run(tmp_path) == whole


def test_another_model_is_asked_in_the_same_way(model: Any, make_model: Any, tokenizer: Any) -> None:
    other, sets = make_model("gpt2", len(tokenizer), seed=3), {"forget": EvaluationSet(QUESTIONS, generate=False)}
    plan = plan_of(tokenizer)
    values = []
    for speed in ("auto", "off"):
        work = Work(show_progress=False)
        records = predict_plan(model, tokenizer, PLAIN, plan, work=work, speed=speed)
        add_base_model(records, plan, other, tokenizer, PLAIN, sets, Limits(256, 256), work=work, speed=speed)
        values.append([record["base_model"]["nll_sum"] for record in records["forget"]])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_another_word_is_refused(model: Any, tokenizer: Any) -> None:
    for run in (lambda: predict(model, tokenizer, QUESTIONS, PLAIN, max_length=256, speed="fast"),
                lambda: evaluate(model, tokenizer, {"forget": QUESTIONS}, PLAIN, speed="fast")):  # fmt: skip
        with pytest.raises(InputError, match="speed is 'fast'; it must be one of auto, off"):
            run()
