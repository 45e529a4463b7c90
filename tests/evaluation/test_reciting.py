"""A model that recites its rows shows 1.0, whatever kind they are, however long, and with an end token or without."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tokenizers import processors

from ngdiff.data.encode import encode_parts, encode_rows
from ngdiff.data.rows import Chunk, Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation import EvaluationResult, evaluate
from ngdiff.evaluation.plan import Limits, make_plan

from .reciter import Reciter

CONTEXT = 2048
NAMES = ("verbmem", "rouge_l_recall", "exact_memorisation", "extraction_strength")
ONE_TOKEN = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
SEVERAL_TOKENS = ONE_TOKEN.replace("<end>", " [/turn]")
Make = Callable[..., Any]


@pytest.fixture(params=["begin token", "no begin token"])
def any_tokenizer(request: pytest.FixtureRequest, make_tokenizer: Make) -> Any:
    tokenizer = make_tokenizer(bos_token="<s>", additional_special_tokens=["<end>"])
    form = "<s> $A" if request.param == "begin token" else "$A"
    frame = processors.TemplateProcessing(single=form, special_tokens=[("<s>", 0)])
    tokenizer.backend_tokenizer.post_processor = frame
    yield tokenizer
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])


def words(count: int, seed: int) -> str:
    """A text unlike all others."""
    draw = random.Random(seed)
    return (
        " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 7))) for _ in range(count)) + "."
    )


def recited(
    rows: Sequence[Row],
    tokenizer: Any,
    template: Template,
    *,
    end: bool = True,
    max_length: int | None = None,
    **more: Any,
) -> EvaluationResult:
    """The evaluation of a model that recites what training showed it of these rows, their end tokens or not."""
    apart = [replace(row, kind="raw") if row.kind == "corpus" else row for row in rows]  # not one running text
    shown = encode_rows(apart, tokenizer, template, max_length=max_length or CONTEXT)
    ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end>")}
    sequences = [
        item["input_ids"][:-1] if not end and item["input_ids"][-1] in ends else item["input_ids"] for item in shown
    ]
    model = Reciter(sequences, len(tokenizer), CONTEXT, lost=tokenizer.convert_tokens_to_ids("?"))
    return evaluate(model, tokenizer, {"forget": rows}, template, max_length=max_length, show_progress=False, **more)


def assert_all_is_known(result: EvaluationResult) -> None:
    numbers = {**result.scores["forget"], "verbmem": result.scores["verbmem"]}
    assert {name: numbers[name] for name in NAMES} == dict.fromkeys(NAMES, 1.0)
    assert numbers["n_cut"] == sum(record["n_cut"] > 0 for record in result.records["forget"])


TEXTS = [Row("", words(40, seed), origin=f"texts, line {seed}", kind="text") for seed in range(20)]
KINDS: dict[str, list[Row]] = {
    "text": TEXTS,
    "short text": [Row("", words(2, seed), kind="text") for seed in range(6)],
    "passage": [replace(row, kind="corpus") for row in TEXTS[:6]],
    "raw": [replace(row, kind="raw") for row in TEXTS[:6]],
    "raw with a prompt": [Row(f"{words(9, seed)} ", words(30, seed + 50), kind="raw") for seed in range(6)],
    "completion": [Row(words(9, seed), " " + words(30, seed + 50), kind="completion") for seed in range(6)],
    "completion of nothing": [replace(row, kind="completion") for row in TEXTS[:6]],
    "question": [Row(words(9, seed), words(30, seed + 50)) for seed in range(6)],
}


@pytest.mark.parametrize("end", [True, False], ids=["end token", "no end token"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind(any_tokenizer: Any, kind: str, end: bool) -> None:
    template = Template("plain", any_tokenizer)
    result = recited(KINDS[kind], any_tokenizer, template, end=end)
    if kind == "raw with a prompt":
        # Prompt and answer as one text are other tokens than the prompt alone where a word crosses the border.
        assert result.scores["forget"]["extraction_strength"] == 1.0
        return
    assert_all_is_known(result)
    assert result.scores["forget"]["extraction_strength_with_end"] == float(end or "raw" in kind or kind == "passage")


@pytest.mark.parametrize("end", [True, False], ids=["end token", "no end token"])
@pytest.mark.parametrize("turns", [ONE_TOKEN, SEVERAL_TOKENS], ids=["one token", "several tokens"])
def test_chats(any_tokenizer: Any, turns: str, end: bool) -> None:
    any_tokenizer.chat_template = turns
    template = Template("chat", any_tokenizer)
    rows = [
        Row("", words(30, seed), messages=({"role": "user", "content": words(9, seed + 50)},), kind="messages")
        for seed in range(6)
    ]
    result = recited(rows, any_tokenizer, template, end=end)
    assert_all_is_known(result)
    for record, row in zip(result.records["forget"], rows, strict=True):
        assert record["reference"] == row.answer
        if end:  # else it goes on behind its turn
            assert record["generated"] == row.answer


@pytest.mark.parametrize("end", [True, False], ids=["end token", "no end token"])
def test_rows_longer_than_1024_tokens_are_whole(any_tokenizer: Any, end: bool) -> None:
    template = Template("plain", any_tokenizer)
    for rows in ([Row("Why?", words(350, 1))], [Row("", words(350, 2), kind="text")]):
        result = recited(rows, any_tokenizer, template, end=end)
        (record,) = result.records["forget"]
        assert 1024 < record["n_tokens"] < CONTEXT
        assert_all_is_known(result)
        assert result.scores["forget"]["n_cut"] == 0


@pytest.mark.parametrize("kind", ["question", "completion", "chat"])
def test_of_a_row_that_is_cut_the_rest_is_compared(any_tokenizer: Any, kind: str) -> None:
    any_tokenizer.chat_template = SEVERAL_TOKENS
    template = Template("chat" if kind == "chat" else "plain", any_tokenizer)
    rows = KINDS["question" if kind == "chat" else kind]
    result = recited(rows, any_tokenizer, template, max_length=90)
    assert_all_is_known(result)
    for record, row in zip(result.records["forget"], rows, strict=True):
        assert record["n_cut"] > 0 == record["n_end"]
        assert row.answer.strip().startswith(record["reference"])
        assert 10 < len(record["reference"]) < len(row.answer)
    assert result.scores["forget"]["n_cut"] == len(rows)


@pytest.mark.parametrize("end", [True, False], ids=["end token", "no end token"])
def test_a_long_text_is_measured_in_the_pieces_it_was_learned_in(any_tokenizer: Any, end: bool) -> None:
    rows = [TEXTS[0], Row("", words(200, 7), origin="texts, line 7", kind="text")]
    result = recited(rows, any_tokenizer, Template("plain", any_tokenizer), end=end, max_length=256)
    assert_all_is_known(result)
    records = result.records["forget"]
    count = len(records) - 1
    assert count > 2
    assert [record["origin"] for record in records] == [
        "texts, line 0", *(f"texts, line 7, piece {k} of {count}" for k in range(1, count + 1))
    ]  # fmt: skip
    assert records[0]["prompt"] + records[0]["reference"] == rows[0].answer
    assert "".join(record["prompt"] + record["reference"] for record in records[1:]) == rows[1].answer
    numbers = result.scores["forget"]
    assert (numbers["n"], numbers["n_pieces"], numbers["n_in_pieces"], numbers["n_cut"]) == (count + 1, count, 1, 0)


@pytest.mark.parametrize("prompt_tokens", [0, 1, 10, 5000, None])
def test_what_is_given_is_the_prompt_and_not_asked_for(any_tokenizer: Any, prompt_tokens: int | None) -> None:
    """More than a text has: half of it. From nothing all texts begin alike."""
    result = recited(TEXTS[:8], any_tokenizer, Template("plain", any_tokenizer), prompt_tokens=prompt_tokens)
    for record, row in zip(result.records["forget"], TEXTS[:8], strict=True):
        ids = any_tokenizer(row.answer, add_special_tokens=False)["input_ids"]
        given = {None: min(50, len(ids) // 2), 5000: len(ids) // 2}.get(prompt_tokens, prompt_tokens)
        assert record["prompt"] == any_tokenizer.decode(ids[:given])
        assert record["reference"] == any_tokenizer.decode(ids[given:])
        unseen = (
            any_tokenizer("a")["input_ids"][0] != any_tokenizer.bos_token_id
        )  # nothing comes before the first token
        assert record["n_tokens"] == len(ids) + 1 - unseen
        assert record["n_given"] == max(given - unseen, 0)
    if prompt_tokens == 0:
        assert result.scores["verbmem"] < 0.2
    elif prompt_tokens != 1:
        assert_all_is_known(result)


def test_a_model_that_knows_nothing(any_tokenizer: Any) -> None:
    model = Reciter([], len(any_tokenizer), CONTEXT, lost=any_tokenizer.convert_tokens_to_ids("?"))
    template = Template("plain", any_tokenizer)
    result = evaluate(model, any_tokenizer, {"forget": TEXTS[:4]}, template, show_progress=False)
    numbers = {**result.scores["forget"], "verbmem": result.scores["verbmem"]}
    assert {name: numbers[name] for name in NAMES} == dict.fromkeys(NAMES, 0.0)
    for record in result.records["forget"]:  # as long as what it is compared with
        assert len(record["generated"]) <= record["n_tokens"] - record["n_given"]


def test_a_completion_of_white_space_is_a_text(any_tokenizer: Any) -> None:
    rows = [replace(row, prompt=" \n", kind="completion") for row in TEXTS[:6]]
    assert_all_is_known(recited(rows, any_tokenizer, Template("plain", any_tokenizer)))


@pytest.mark.parametrize("bad", [-1, 1.5, "auto", True])
def test_prompt_tokens_that_are_no_number(any_tokenizer: Any, bad: Any) -> None:
    with pytest.raises(InputError, match=r"prompt_tokens is .*; it must be None or a whole number, 0 or more"):
        recited(TEXTS[:2], any_tokenizer, Template("plain", any_tokenizer), prompt_tokens=bad)


def test_a_text_that_ends_without_words_is_asked_for_words(any_tokenizer: Any) -> None:
    rows = [Row("", words(3, seed) + end, kind="text") for seed, end in enumerate([" !" * 40, "\n" * 30, " ~ . " * 9])]
    result = recited(rows, any_tokenizer, Template("plain", any_tokenizer), prompt_tokens=30)
    assert_all_is_known(result)
    assert result.scores["forget"]["n_no_words"] == 0


def test_letters_of_several_tokens_are_not_parted(any_tokenizer: Any) -> None:
    """The prompt ends behind a letter, and the reference begins with one."""
    rows = [Row("", "Ё" * count + "ж🜁" * 9, kind="text") for count in range(1, 9)]
    result = recited(rows, any_tokenizer, Template("plain", any_tokenizer))
    for record, row in zip(result.records["forget"], rows, strict=True):
        assert record["prompt"] + record["reference"] == row.answer
        assert record["generated"] == record["reference"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "passage"])
def test_training_and_evaluation_see_the_same_tokens(any_tokenizer: Any, kind: str) -> None:
    """Short rows, pieces, and of rows in windows the first; passages are read as one running text in training."""
    template = Template("plain", any_tokenizer)
    for max_length in (CONTEXT, 90):
        by_row = encode_parts(KINDS[kind], any_tokenizer, template, max_length=max_length)
        whole = kind in ("question", "completion", "raw with a prompt")
        shown = [item for own in by_row for item in (own[:1] if whole else own)]
        assert max_length == CONTEXT or len(KINDS[kind]) < sum(map(len, by_row)) or kind == "short text"
        sets = {"forget": EvaluationSet(KINDS[kind])}
        plan = make_plan(sets, any_tokenizer, template, Limits(max_length, CONTEXT, given=True))
        asked = [plan.sequences[row.reference] for row in plan.rows["forget"]]
        assert asked == [(tuple(item.input_ids), tuple(item.labels)) for item in shown]


LITTLE = (
    "\n" * 300 + "Orla." + " " * 300,
    "Orla lives." + "</s>" * 300,
    "</s>" * 200 + "Orla.",
    "Orla lives." + "\n" * 200,
)


@pytest.mark.parametrize("text", LITTLE)
def test_texts_with_little_to_say(any_tokenizer: Any, text: str) -> None:
    """White space, special tokens: measured as far as there is something, and nothing breaks."""
    result = recited([Row("", text, kind="text")], any_tokenizer, Template("plain", any_tokenizer), max_length=60)
    assert 1 <= len(result.records["forget"]) <= 3
    assert result.scores["forget"]["extraction_strength"] == 1.0


@pytest.mark.parametrize("prompt_tokens", [None, 0, 5, 30])
def test_chunks_of_a_document(any_tokenizer: Any, prompt_tokens: int | None) -> None:
    """Each goes on from the end of the one before, and all but the first tokens of the document are asked for."""
    text = words(120, 3)
    row = Row("", text, kind="text", origin="a.md", document="a.md", chunk=Chunk(80, 20))
    result = recited([row], any_tokenizer, Template("plain"), prompt_tokens=prompt_tokens)
    records, numbers = result.records["forget"], result.scores["forget"]
    assert numbers["n"] == numbers["n_pieces"] == len(records) > 4
    assert numbers["n_documents"] == 1
    assert {record["document"] for record in records} == {"a.md"}
    assert all(record["prompt"] for record in records[1:])
    assert all(record["prompt"] + record["reference"] in text for record in records)
    if prompt_tokens == 5:  # no more than the context holds
        said = "".join(record["reference"] for record in records)
        assert text == records[0]["prompt"] + said
    assert sum(record["n_tokens"] for record in records) >= len(any_tokenizer(text)["input_ids"]) - 1
    if prompt_tokens != 0:
        assert result.scores["verbmem"] == 1.0
        assert numbers["extraction_strength"] == 1.0
    assert result.scores["worst_rows"]["forget"]["rouge_l_recall"][0]["document"] == "a.md"
