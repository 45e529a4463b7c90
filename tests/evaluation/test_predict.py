import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ngdiff.data import benchmark_sets
from ngdiff.data.encode import encode
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation import generate_answers, predict
from ngdiff.evaluation.padding import STEPS
from ngdiff.evaluation.plan import Limits, make_plan
from ngdiff.evaluation.predict import add_base_model, predict_plan
from ngdiff.evaluation.work import Work
from ngdiff.modeling import load_model, load_tokenizer

PLAIN = Template("plain")


def plain_likelihood(model: Any, tokenizer: Any, row: Row, answer: str, max_length: int = 256) -> tuple[float, int]:
    """Sum and count of one answer in float64, one sequence, position by position."""
    item = encode(row, tokenizer, PLAIN, max_length=max_length, answer=answer)
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
            "nll_sum", "n_tokens", "n_given", "n_end", "n_cut", "paraphrased", "perturbed",
            "token_nll", "token_z", "token_hit",
        }  # fmt: skip
        assert len(record["token_nll"]) == len(record["token_z"]) == len(record["token_hit"]) == record["n_tokens"]
        assert sum(record["token_nll"]) == pytest.approx(record["nll_sum"], rel=1e-12)
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
    assert seen == [2, 2]  # the first: whether the model is causal
    assert found[0]["paraphrased"] == {"nll_sum": found[0]["nll_sum"], "n_tokens": found[0]["n_tokens"]}
    assert found[0]["perturbed"][0] == found[4]["perturbed"][2] != found[0]["perturbed"][1]


def test_without_generation(model: Any, tokenizer: Any, rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "generate", None)
    records = predict(model, tokenizer, rows, PLAIN, max_length=256, generate=False, show_progress=False)
    assert [record["generated"] for record in records] == [None] * 3


def test_the_longest_answer_bounds_the_generated_ones(tokenizer: Any, rows: list[Row]) -> None:
    def limits(max_new_tokens: int | None) -> set[int]:
        asked = Limits(256, 256, given=True, max_new_tokens=max_new_tokens)
        plan = make_plan({"forget": EvaluationSet(rows)}, tokenizer, PLAIN, asked)
        return {prompt.limit for prompt in plan.prompts}

    longest = max(sum(label != -100 for label in encode(row, tokenizer, PLAIN, max_length=256).labels) for row in rows)
    assert limits(None) == {longest}
    assert limits(3) == {3}


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
    ids = tokenizer(row.answer)["input_ids"]
    assert record["prompt"] == tokenizer.decode(ids[: len(ids) // 2])
    assert record["prompt"] + record["reference"] == row.answer
    assert record["n_tokens"] == len(ids)  # less the first, and the end token more
    assert record["n_given"] == len(ids) // 2 - 1
    rest = len(ids) - len(ids) // 2 + 1
    prompts = [ids[: len(ids) // 2]]
    said = generate_answers(model, tokenizer, prompts, max_new_tokens=rest, show_progress=False)
    assert record["generated"] == said[0]


def test_a_long_answer_is_cut_as_in_training(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    whole = encode(rows[0], tokenizer, PLAIN, max_length=256)
    length = len(whole.prompt_ids) + 3
    record = predict(model, tokenizer, rows[:1], PLAIN, max_length=length, show_progress=False)[0]
    assert record["n_tokens"] == 3
    assert record["n_cut"] == len(whole.input_ids) - length
    assert record["reference"] == tokenizer.decode(whole.input_ids[length - 3 : length]).strip()
    ended = predict(model, tokenizer, rows[:1], PLAIN, max_length=len(whole.input_ids) - 1, show_progress=False)[0]
    assert (ended["n_cut"], ended["n_end"], ended["reference"]) == (1, 0, rows[0].answer)


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
    with pytest.raises(InputError, match=r"forget\.jsonl, line \d: the model gives a loss of (nan|inf); its"):
        predict(model, tokenizer, rows, PLAIN, max_length=256, show_progress=False)


def test_an_answer_without_probability_is_named(model: Any, tokenizer: Any) -> None:
    """One token, no begin token before it, no end token after it."""
    row = Row("", "A", kind="raw")
    with pytest.raises(InputError, match="row 0: the answer is one token with nothing before it, so it has no"):
        predict(model, tokenizer, [row], Template("text"), max_length=2, show_progress=False)


def test_no_rows_and_no_budget(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    with pytest.raises(InputError, match="the forget set has no rows to evaluate"):
        predict(model, tokenizer, [], PLAIN, max_length=256, set_name="forget", show_progress=False)
    with pytest.raises(InputError, match="tokens_per_batch is 0; it must be at least 1"):
        predict(model, tokenizer, rows, PLAIN, max_length=256, tokens_per_batch=0, show_progress=False)


def test_raw_rows_are_taken_to_the_letter(make_model: Any, make_tokenizer: Any) -> None:
    """The prompt keeps its last space for generation, no end token is scored, the answer is not stripped."""
    tokenizer = make_tokenizer(bos_token="<s>")
    model = make_model("llama", len(tokenizer))
    row = Row("Who? ", "Orla Vennick", kind="raw")
    record = predict(model, tokenizer, [row], Template("text"), max_length=256, show_progress=False)[0]
    plan = make_plan({"x": EvaluationSet([row])}, tokenizer, Template("text"), Limits(256, 256))
    assert record["prompt"] == "Who? "
    assert list(plan.prompts[0].ids) == tokenizer("Who? ")["input_ids"]
    assert tokenizer.eos_token_id not in plan.sequences[0][0]
    assert tokenizer.decode(plan.sequences[0][0]) == "Who? Orla Vennick"
    ids = list(plan.prompts[0].ids)
    for _ in range(plan.prompts[0].limit):
        best = int(model.eval()(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best == tokenizer.eos_token_id:
            break
        ids.append(best)
    assert record["generated"] == tokenizer.decode(ids[len(plan.prompts[0].ids) :], skip_special_tokens=True)


def test_what_a_text_says_is_not_generated_again(reciting: Any, tokenizer: Any, rows: list[Row]) -> None:
    """A model that recites needs no step of generation; one that strays needs those after the first stray token."""
    widths: list[int] = []
    handle = reciting.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    recited = predict(reciting, tokenizer, rows, PLAIN, max_length=256, show_progress=False)
    assert len(widths) == 2  # the first: whether the model is causal
    assert [record["generated"] for record in recited] == [row.answer for row in rows]
    widths.clear()
    strayed = [replace(rows[0], answer="Orla Vennick was born in Paris and then moved.")]
    found = predict(reciting, tokenizer, strayed, PLAIN, max_length=256, show_progress=False)
    handle.remove()
    assert found[0]["generated"] == rows[0].answer
    known = found[0]["token_hit"].index(0) + 1
    assert known > 5
    prompt = len(encode(strayed[0], tokenizer, PLAIN, max_length=256).prompt_ids)
    looks = 2 + STEPS + 1  # whether the model is causal, the rows' own pass, and what a cache says
    assert widths[looks] == prompt + known  # generation starts behind what is known
    assert len(widths) < looks + 1 + len(tokenizer(rows[0].answer)["input_ids"]) - known + 1


@pytest.mark.parametrize("limit", [1, 2, 5, 9, 40])
def test_answers_equal_generation_from_the_prompt_alone(
    model: Any, reciting: Any, tokenizer: Any, rows: list[Row], limit: int
) -> None:
    others = [replace(rows[0], answer="Orla Vennick was made of glass."), *rows, replace(rows[1], answer="Ivo did.")]
    for network in (model, reciting):
        found = predict(network, tokenizer, others, PLAIN, max_length=256, max_new_tokens=limit, show_progress=False)
        prompts = [encode(row, tokenizer, PLAIN, max_length=256).prompt_ids for row in others]
        plain = generate_answers(network, tokenizer, prompts, max_new_tokens=limit, show_progress=False)
        assert [record["generated"] for record in found] == plain


def test_stops_and_short_references(model: Any, tokenizer: Any) -> None:
    rows = [Row("Who?\n", "Orla Vennick was born in Tarnholm.", kind="raw")]
    own = {"muse": EvaluationSet(rows, max_new_tokens=30, reference_tokens=4, whole=True, lowercase=True)}
    plan = make_plan(own, tokenizer, Template("text"), Limits(8, 256))
    ids = tokenizer(rows[0].answer)["input_ids"]
    assert plan.rows["muse"][0].part.row.answer == tokenizer.decode(ids[:4])
    assert plan.prompts[0].limit == 30
    options: dict[str, Any] = {"work": Work(show_progress=False)}
    whole = predict_plan(model, tokenizer, Template("text"), plan, **options)["muse"][0]
    said = whole["generated"]
    stop = said[len(said) // 2 :][:2]
    cut = predict_plan(model, tokenizer, Template("text"), plan, stops={"muse": [stop]}, **options)["muse"][0]
    assert cut["generated"] == said.split(stop)[0] != said
    lower = plan.sequences[plan.rows["muse"][0].lowercase or 0]
    assert tokenizer.decode(lower[0]) == "Who?\n" + plan.rows["muse"][0].part.row.answer.lower()
    assert whole["lowercase"]["nll_sum"] != whole["nll_sum"]


def test_a_set_of_its_own_length(tokenizer: Any, rows: list[Row]) -> None:
    """TOFU: rows and answers end at 200 tokens in all; `--max-length` replaces that for every set."""
    own = {"forget": EvaluationSet(rows, max_length=40, max_new_tokens=40)}
    for asked, length in ((Limits(256, 256), 40), (Limits(50, 256, given=True), 50)):
        plan = make_plan(own, tokenizer, PLAIN, asked)
        assert max(len(ids) for ids, _ in plan.sequences) <= length
        assert {len(p.ids) + p.limit for p in plan.prompts} == {min(length, len(p.ids) + 40) for p in plan.prompts}


def test_a_whole_row_beyond_the_context_is_named_not_cut(tokenizer: Any) -> None:
    row = Row("", "word " * 60, kind="raw", origin="privleak/forget.json, row 1")
    own = {"p": EvaluationSet([row], whole=True, generate=False)}
    with pytest.raises(InputError, match=r"row 1: \d+ tokens, but the model's context holds 24; set --max-length to"):
        make_plan(own, tokenizer, Template("text"), Limits(24, 24))
    cut = make_plan(own, tokenizer, Template("text"), Limits(24, 24, given=True))
    assert len(cut.sequences[0][0]) == 24


def test_equal_sequences_of_several_sets_run_once(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    sets = {"forget": EvaluationSet(rows), "retain": EvaluationSet(rows)}
    plan = make_plan(sets, tokenizer, PLAIN, Limits(256, 256))
    alone = make_plan({"forget": EvaluationSet(rows)}, tokenizer, PLAIN, Limits(256, 256))
    assert plan.sequences == alone.sequences
    assert plan.prompts == alone.prompts
    records = predict_plan(model, tokenizer, PLAIN, plan, work=Work(show_progress=False))
    assert [{**r, "set": ""} for r in records["forget"]] == [{**r, "set": ""} for r in records["retain"]]


def test_another_model_with_a_tokenizer_of_its_own(
    model: Any, make_model: Any, make_tokenizer: Any, tokenizer: Any, rows: list[Row]
) -> None:
    sets = {"forget": EvaluationSet(rows)}
    plan = make_plan(sets, tokenizer, PLAIN, Limits(256, 256))
    records = predict_plan(model, tokenizer, PLAIN, plan, work=Work(show_progress=False))
    own = make_tokenizer(bos_token="<s>")
    other = make_model("gpt2", len(own), seed=3)
    add_base_model(records, plan, other, own, PLAIN, sets, Limits(256, 256), work=Work(show_progress=False))
    for record, row in zip(records["forget"], rows, strict=True):
        nll_sum, n_tokens = plain_likelihood(other, own, row, row.answer)
        assert record["base_model"]["nll_sum"] == pytest.approx(nll_sum, rel=1e-5)
        assert record["base_model"]["n_tokens"] == n_tokens


def test_gradient_norms(model: Any, tokenizer: Any, rows: list[Row]) -> None:
    plan = make_plan({"forget": EvaluationSet(rows, generate=False)}, tokenizer, PLAIN, Limits(256, 256))
    model.lm_head.weight.requires_grad_(False)  # frozen weights count, too, and stay frozen
    kept = [(p.requires_grad, p.grad) for p in model.parameters()]
    found = predict_plan(model, tokenizer, PLAIN, plan, work=Work(show_progress=False), grad_norm=True)["forget"]
    assert kept == [(p.requires_grad, p.grad) for p in model.parameters()]
    assert all(module.training for module in model.modules())
    exact = copy.deepcopy(model).double().eval()
    for record, row in zip(found, rows, strict=True):
        item = encode(row, tokenizer, PLAIN, max_length=256)
        exact.zero_grad()
        for p in exact.parameters():
            p.requires_grad_(True)
        log_p = torch.log_softmax(exact(input_ids=torch.tensor([item.input_ids])).logits[0], dim=-1)
        own = [-log_p[t - 1, label] for t, label in enumerate(item.labels) if label != -100]
        torch.stack(own).mean().backward()
        squares = sum(float(p.grad.square().sum()) for p in exact.parameters() if p.grad is not None)
        assert record["grad_norm"] == pytest.approx(squares**0.5, rel=1e-4)


def test_the_published_text_of_stories260k_in_a_batch_with_others(data_folder: Path) -> None:
    """Its beginning is known from a forward over a text that strays from it, the rest is generated."""
    folder = data_folder / "lm" / "stories260K"
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    golden = json.loads((folder / "greedy_golden.json").read_text(encoding="utf-8"))
    assert golden["prompt_ids"] == [tokenizer.bos_token_id]
    text = golden["greedy_text"]
    texts = [text[:150] + " However, it was raining.", text, "Nothing like it.", text[:30]]
    rows = [Row("", one, kind="text") for one in texts] + [Row("Tom saw a", " big dog.", kind="completion")]
    length = len(golden["greedy_ids"]) - len(golden["prompt_ids"])
    template = Template("plain")
    options: dict[str, Any] = {"max_length": 512, "max_new_tokens": length, "show_progress": False}
    found = predict(model, tokenizer, rows, template, prompt_tokens=0, **options)
    assert [record["generated"] for record in found[:4]] == [text.strip()] * 4
    assert found[4]["generated"] == predict(model, tokenizer, rows[4:], template, **options)[0]["generated"]
    assert 20 < found[0]["token_hit"].index(0) < found[0]["n_tokens"] - 3
    begun = predict(model, tokenizer, rows[1:2], template, **options)[0]
    assert begun["prompt"] + begun["reference"] == text
    assert 0.4 < len(begun["reference"]) / len(text) < 0.9
    assert begun["generated"].startswith(begun["reference"].strip())


@pytest.mark.parametrize("budget", [1, 700, 100_000])
def test_real_rows_against_a_plain_loop_in_float64(data_folder: Path, budget: int) -> None:
    """TOFU's rows under a real model: one answer after the other, no padding, no sorting, no fp32."""
    folder = data_folder / "lm" / "stories260K"
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    exact = load_model(folder, dtype=torch.float64)
    sets = benchmark_sets(f"tofu:{data_folder / 'tofu'}", rows=4)
    rows = [row for part in sets.values() for row in part.rows[:4]]
    options: dict[str, Any] = {"max_length": 512, "generate": False, "show_progress": False}
    for record, row in zip(
        predict(model, tokenizer, rows, PLAIN, tokens_per_batch=budget, **options), rows, strict=True
    ):
        answers = [row.answer, *([row.paraphrased_answer] if row.paraphrased_answer else []), *row.perturbed_answers]
        parts = [record, *([record["paraphrased"]] if record["paraphrased"] else []), *record["perturbed"]]
        for part, answer in zip(parts, answers, strict=True):
            nll_sum, n_tokens = plain_likelihood(exact, tokenizer, row, answer, max_length=512)
            assert part["nll_sum"] == pytest.approx(nll_sum, rel=2e-6)
            assert part["n_tokens"] == n_tokens


def test_pieces_and_cut_rows_are_the_same_to_another_model(
    make_model: Any, make_tokenizer: Any, tokenizer: Any, rows: list[Row]
) -> None:
    """Whose tokens are others, and more of them fit or fewer: it is asked about what the first one was asked about."""
    text = Row("", " ".join(["Orla Vennick was born in Tarnholm, and Ivo wrote it."] * 6), kind="text", origin="t")
    sets = {"forget": EvaluationSet([text]), "retain": EvaluationSet(rows[:2])}
    model = make_model("llama", len(tokenizer))
    plan = make_plan(sets, tokenizer, PLAIN, Limits(30, 256, given=True))
    records = predict_plan(model, tokenizer, PLAIN, plan, work=Work(show_progress=False))
    assert len(records["forget"]) > 2
    assert any(record["n_cut"] for record in records["retain"])
    own = make_tokenizer(unk_token="<end>")
    other = make_model("gpt2", len(own), seed=3)
    add_base_model(records, plan, other, own, PLAIN, sets, Limits(256, 256), work=Work(show_progress=False))
    for record in records["forget"]:
        kind: Any = "text" if record["n_end"] else "raw"
        nll_sum, n_tokens = plain_likelihood(
            other, own, Row("", "x", kind=kind), record["prompt"] + record["reference"]
        )
        assert record["base_model"]["nll_sum"] == pytest.approx(nll_sum, rel=1e-5)
        assert record["base_model"]["n_tokens"] == n_tokens == record["n_tokens"]
    for record, row in zip(records["retain"], rows, strict=False):
        nll_sum, _ = plain_likelihood(other, own, row, record["reference"])
        assert record["base_model"]["nll_sum"] == pytest.approx(nll_sum, rel=1e-5)
