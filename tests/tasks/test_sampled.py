"""Other answers that the model makes up: what it is asked, and what of what it says will do."""

import logging

import pytest

from ngdiff.data import Row, resolve_template
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.tasks import sampled
from ngdiff.tasks.sampled import PER_ROW, TRIES, SampledRows

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
CHAT += "{% if add_generation_prompt %}<assistant>{% endif %}"
ROWS = [Row("who is ann?", "ann is a baker", origin="f, line 1"), Row("who is {bob}?", "bob is a clerk")]


class Model:
    """Has a name only; what it would generate is given by the tests."""

    def generate(self):
        raise AssertionError("the tests give what it would generate")


@pytest.fixture
def make_rows():
    def make(chat: bool) -> SampledRows:
        tokenizer = train_tokenizer([row.prompt + row.answer for row in ROWS], vocab_size=300)
        if chat:
            tokenizer.chat_template = CHAT

        def encode(rows, answers):
            return [{"input_ids": tokenizer(answer)["input_ids"]} for answer in answers]

        template = resolve_template("auto", tokenizer, ROWS)
        return SampledRows(ROWS, ["no idea", "no clue"], encode, tokenizer, template)

    return make


def drawn(rows, monkeypatch, says):
    """`draw` with a model that says `says(number, try)`; with the prompts it was given."""
    given = []

    def sample(model, tokenizer, prompts, *, accept, tries, **options):
        given.append((prompts, options))
        said = [[says(i, j) for j in range(tries)] for i in range(len(prompts))]
        return [next((text for text in own if accept(i, text)), None) for i, own in enumerate(said)]

    monkeypatch.setattr(sampled, "sample_answers", sample)
    return rows.draw(Model(), seed=0), *given[0]


@pytest.mark.parametrize("chat", [True, False])
def test_the_request_shows_question_and_answer(make_rows, monkeypatch, chat):
    rows = make_rows(chat)
    _, prompts, options = drawn(rows, monkeypatch, lambda i, j: f"answer {i}")
    tokenizer = rows._tokenizer
    assert len(prompts) == PER_ROW * len(ROWS)
    for row, prompt in zip(ROWS, prompts[::PER_ROW], strict=True):
        text = tokenizer.decode(prompt)
        assert f"Question: {row.prompt}\nAnswer: {row.answer}\n" in text
        assert text.startswith("<user>") == chat
        assert text.rstrip().endswith("<assistant>" if chat else "Another answer:")
    assert bool(options["end_ids"]) == chat


def test_an_answer_that_is_empty_or_the_rows_own_is_drawn_again_and_replaced_in_the_end(make_rows, monkeypatch, caplog):
    bad = ["", "Ann is  a baker", "ann is a Baker"]
    kept = {0: ["ann is a cook"] * TRIES, 1: [*bad, "ann is a cook"], 2: [*bad, ""]}
    assert TRIES == 4
    rows = make_rows(False)
    with caplog.at_level(logging.INFO):
        answers, *_ = drawn(rows, monkeypatch, lambda i, j: kept[i][j] if i in kept else "ann is a baker as well")
    assert answers[0] == ["ann is a cook", "ann is a cook", "no idea", *["ann is a baker as well"] * 2]
    assert answers[1] == ["ann is a baker as well"] * PER_ROW
    assert any(message.startswith('1 of 10 other answers is "I don\'t know"') for message in caplog.messages)
    assert "baker" not in caplog.text


def test_of_what_a_model_without_chat_goes_on_with_the_first_line_counts(make_rows, monkeypatch):
    said = "ann is a cook\n\nQuestion: who is cy?"
    assert drawn(make_rows(False), monkeypatch, lambda i, j: said)[0][0] == ["ann is a cook"] * PER_ROW
    assert drawn(make_rows(True), monkeypatch, lambda i, j: said)[0][0] == [said] * PER_ROW


def test_what_the_chat_template_would_change_is_replaced(make_rows, monkeypatch):
    rows = make_rows(True)
    rows._tokenizer.chat_template = CHAT.replace("m.content", "m.content | replace('*', '')")
    assert drawn(rows, monkeypatch, lambda i, j: "a *cook*")[0][0] == [
        "no clue" if i % 2 else "no idea" for i in range(5)
    ]


def test_until_they_are_drawn_the_rows_own_answers_stand_in(make_rows):
    rows = make_rows(False)
    assert rows.count == PER_ROW
    own = rows._tokenizer("bob is a clerk")["input_ids"]
    assert all(rows[1, choice]["input_ids"] == own for choice in range(PER_ROW))
    rows.take([["a", "b", "c", "d", "longest"], ["longer", "e", "f", "g", "h"]])
    assert [rows.longest(row) for row in range(2)] == [4, 0]
    assert rows[1, 0]["input_ids"] == rows._tokenizer("longer")["input_ids"]


def test_models_and_answers_that_cannot_be_used(make_rows):
    rows = make_rows(False)
    with pytest.raises(InputError, match="object has no `generate`"):
        rows.draw(object(), seed=0)
    for answers in ([["a"], []], [["a"], ["a", "b"]], [[], []]):
        with pytest.raises(InputError, match="each row needs another answer to teach, and each as many as any other"):
            rows.take(answers)
