from importlib import import_module
from typing import Any

import pytest
import torch

from ngdiff.data.encode import encode
from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation import predict

PLAIN = Template("plain")
MODULE = import_module("ngdiff.evaluation.predict")  # the package's `predict` is the function


def plain_likelihood(model: Any, tokenizer: Any, row: Row, answer: str) -> tuple[float, int]:
    """Sum and count of one answer in float64, one sequence, position by position."""
    item = encode(row, tokenizer, PLAIN, max_length=256, answer=answer)
    model.eval()
    with torch.no_grad():
        log_p = torch.log_softmax(model(input_ids=torch.tensor([item.input_ids])).logits[0].double(), dim=-1)
    model.train()
    own = [-float(log_p[t - 1, label]) for t, label in enumerate(item.labels) if label != -100 and t > 0]
    return sum(own), len(own)


def test_every_field(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    records = predict(
        model,
        tokenizer,
        rows,
        PLAIN,
        max_length=256,
        set_name="forget",
        tokens_per_batch=150,
        show_progress=False,
    )
    assert [record["index"] for record in records] == [0, 1, 2]
    for record, row in zip(records, rows, strict=True):
        assert set(record) == {
            "set", "index", "origin", "prompt", "reference", "generated",
            "nll_sum", "n_tokens", "paraphrased", "perturbed",
        }  # fmt: skip
        assert record["set"] == "forget"
        assert record["origin"] == row.origin
        assert record["prompt"] == f"Question: {row.prompt}\nAnswer:"
        assert record["reference"] == row.answer
        found = [record, *([record["paraphrased"]] if record["paraphrased"] else []), *record["perturbed"]]
        answers = [
            row.answer,
            *([row.paraphrased_answer] if row.paraphrased_answer else []),
            *row.perturbed_answers,
        ]
        assert len(record["perturbed"]) == len(row.perturbed_answers)
        for part, answer in zip(found, answers, strict=True):
            nll_sum, n_tokens = plain_likelihood(model, tokenizer, row, answer)
            assert part["nll_sum"] == pytest.approx(nll_sum, rel=1e-5)
            assert part["n_tokens"] == n_tokens


def test_the_end_token_counts(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    record = predict(model, tokenizer, rows[2:], PLAIN, max_length=256, show_progress=False)[0]
    assert record["n_tokens"] == len(tokenizer(" A glazier.")["input_ids"]) + 1


@pytest.mark.parametrize("budget", [1, 90, 10_000])
def test_batches_and_the_order_of_rows_change_nothing(model: Any, tokenizer: Any, rows: list[Row], budget: int) -> None:
    options: dict[str, Any] = {"max_length": 256, "show_progress": False}
    whole = predict(model, tokenizer, rows, PLAIN, **options)
    back = predict(model, tokenizer, rows[::-1], PLAIN, tokens_per_batch=budget, max_new_tokens=20, **options)[::-1]
    longest = max(record["n_tokens"] for record in whole)
    again = predict(model, tokenizer, rows, PLAIN, tokens_per_batch=budget, max_new_tokens=longest, **options)
    for one, other in zip(whole, again, strict=True):
        assert one["generated"] == other["generated"]
    for one, other in zip(whole, back, strict=True):
        assert one["nll_sum"] == pytest.approx(other["nll_sum"], rel=1e-6)
        assert one["origin"] == other["origin"]


def test_a_model_that_recites_gives_its_answers_and_stops(reciting: Any, tokenizer: Any, rows: list[Row]) -> None:
    records = predict(reciting, tokenizer, rows, PLAIN, max_length=256, show_progress=False)
    assert [record["generated"] for record in records] == [row.answer for row in rows]
    assert all(record["nll_sum"] / record["n_tokens"] < 0.1 for record in records)


def test_one_forward_per_distinct_sequence(model: Any, tokenizer: Any) -> None:
    seen: list[int] = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    row = Row("Who?", "Orla.", paraphrased_answer="Orla.", perturbed_answers=("Ivo.", "Orla.", "Ivo."))
    found = predict(model, tokenizer, [row] * 5, PLAIN, max_length=256, generate=False, show_progress=False)
    assert sum(seen) == 2
    assert found[0]["paraphrased"] == {"nll_sum": found[0]["nll_sum"], "n_tokens": found[0]["n_tokens"]}
    assert found[0]["perturbed"][0] == found[4]["perturbed"][2] != found[0]["perturbed"][1]


def test_without_generation(model: Any, tokenizer: Any, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "generate", None)
    records = predict(model, tokenizer, rows, PLAIN, max_length=256, generate=False, show_progress=False)
    assert [record["generated"] for record in records] == [None] * 3


def test_the_longest_answer_bounds_the_generated_ones(
    model: Any, tokenizer: Any, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def spy(*args: Any, **options: Any) -> list[str]:
        asked.append(options["max_new_tokens"])
        return ["" for _ in args[2]]

    monkeypatch.setattr(MODULE, "generate_answers", spy)
    records = predict(model, tokenizer, rows, PLAIN, max_length=256, show_progress=False)
    predict(model, tokenizer, rows, PLAIN, max_length=256, max_new_tokens=3, show_progress=False)
    assert asked == [max(record["n_tokens"] for record in records), 3]


def test_a_chat_template_with_an_end_token_of_its_own(make_tokenizer: Any, make_model: Any) -> None:
    tokenizer = make_tokenizer(additional_special_tokens=["<end>"])
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<end>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    template = Template("chat", tokenizer)
    model = make_model("llama", len(tokenizer))
    row = Row("Who?", "Orla Vennick.")
    # a model that has one thing to say: the end token of the template
    end = tokenizer.convert_tokens_to_ids("<end>")
    model.lm_head.weight.data.zero_()
    model.model.norm.weight.data.zero_()
    model.lm_head.bias = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(end), len(tokenizer)) * 9.0)
    record = predict(model, tokenizer, [row], template, max_length=256, show_progress=False)[0]
    assert record["generated"] == ""
    assert record["prompt"].startswith("user: Who?<end>\nassistant:")
    assert record["reference"] == "Orla Vennick."


def test_plain_text_rows(model: Any, tokenizer: Any) -> None:
    """This tokenizer has no begin token: nothing comes before the first token, which is not counted."""
    row = Row("", "Orla Vennick was born in Tarnholm.", kind="text")
    record = predict(model, tokenizer, [row], Template("text"), max_length=256, show_progress=False)[0]
    assert record["prompt"] == ""
    assert record["n_tokens"] == len(tokenizer(row.answer)["input_ids"])  # less the first, and the end token more
    assert record["generated"] is not None


def test_a_long_answer_is_cut_as_in_training(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    whole = encode(rows[0], tokenizer, PLAIN, max_length=256)
    length = len(whole.prompt_ids) + 3
    record = predict(model, tokenizer, rows[:1], PLAIN, max_length=length, show_progress=False)[0]
    assert record["n_tokens"] == 3


def test_a_row_beyond_the_context_is_named(make_model: Any, tokenizer: Any, rows: list[Row]) -> None:
    model = make_model("gpt2", len(tokenizer), context=24)
    with pytest.raises(
        InputError,
        match=r"line 1: \d+ tokens, but the model's context holds 24; set --max-length to at most 24",
    ):
        predict(model, tokenizer, rows, PLAIN, max_length=256, show_progress=False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_model_is_named_with_the_row(make_model: Any, tokenizer: Any, rows: list[Row], bad: float) -> None:
    model = make_model("llama", len(tokenizer))
    model.lm_head.weight.data[3] = bad
    with pytest.raises(InputError, match=r"forget\.jsonl, line 1: the model gives a loss of (nan|inf); its"):
        predict(model, tokenizer, rows, PLAIN, max_length=256, show_progress=False)


def test_an_answer_without_probability_is_named(model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("", "A", kind="text")
    # `encode_rows` asks for a length of 2, so that only another encoding could come to this
    monkeypatch.setattr(MODULE, "encode_rows", lambda *_, **__: [{"input_ids": [5], "labels": [5]}])
    with pytest.raises(InputError, match="row 0: the answer is one token with nothing before it, so it has no"):
        predict(model, tokenizer, [row], Template("text"), max_length=2, show_progress=False)


def test_no_rows_and_no_budget(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    with pytest.raises(InputError, match="the forget set has no rows to evaluate"):
        predict(model, tokenizer, [], PLAIN, max_length=256, set_name="forget", show_progress=False)
    with pytest.raises(InputError, match="tokens_per_batch is 0; it must be at least 1"):
        predict(model, tokenizer, rows, PLAIN, max_length=256, tokens_per_batch=0, show_progress=False)
