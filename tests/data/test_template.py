"""Which template a choice means, and how rows become two texts."""

import re
from typing import Any

import pytest

from ngdiff.data import Row, Template, read_rows, resolve_template
from ngdiff.errors import InputError

QA = Row("Where?", "In Tarnholm.", origin="f.jsonl, line 1")
COMPLETION = Row("Where? ", "In Tarnholm.", kind="completion")
TEXT = Row("", "Orla lives in Tarnholm.", kind="text")
CHAT = Row(
    "And now?",
    "In Weskmoor.",
    (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "In Tarnholm."},
        {"role": "user", "content": "And now?"},
    ),
    origin="c.jsonl, line 4",
    kind="messages",
)
HEAD = "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("choice", "row", "name", "rendered"),
    [
        ("auto", QA, "plain", ("Question: Where?\nAnswer:", " In Tarnholm.")),
        ("plain", QA, "plain", ("Question: Where?\nAnswer:", " In Tarnholm.")),
        ("auto", COMPLETION, "plain", ("Where?", " In Tarnholm.")),
        ("plain", COMPLETION, "plain", ("Where?", " In Tarnholm.")),
        ("auto", TEXT, "text", ("", TEXT.answer)),
        ("plain", TEXT, "text", ("", TEXT.answer)),
        ("text", TEXT, "text", ("", TEXT.answer)),
        ("<{question}>{answer}</>", QA, "<{question}>{answer}</>", ("<Where?>", "In Tarnholm.</>")),
        (r"{question}\n\t{answer}", QA, r"{question}\n\t{answer}", ("Where?", "\n\tIn Tarnholm.")),
        (r"{question}\\n{answer}", QA, r"{question}\\n{answer}", (r"Where?\n", "In Tarnholm.")),
        ("Q {question} A {answer}", COMPLETION, "Q {question} A {answer}", ("Q Where?  A", " In Tarnholm.")),
    ],
)
def test_without_chat_template(tokenizer: Any, choice: str, row: Row, name: str, rendered: tuple[str, str]) -> None:
    template = resolve_template(choice, tokenizer, [row])
    assert template.name == name
    assert template.render(row) == rendered
    # The name in a manifest gives the same template again.
    assert resolve_template(name, tokenizer, [row]) == template


@pytest.mark.parametrize(
    ("choice", "row", "name", "rendered"),
    [
        ("auto", QA, "chat", (HEAD, "In Tarnholm.<|im_end|>")),
        ("chat", QA, "chat", (HEAD, "In Tarnholm.<|im_end|>")),
        ("plain", QA, "plain", ("Question: Where?\nAnswer:", " In Tarnholm.")),
        ("auto", COMPLETION, "plain", ("Where?", " In Tarnholm.")),
        ("chat", COMPLETION, "chat", (HEAD.replace("?", "? "), "In Tarnholm.<|im_end|>")),
        ("auto", TEXT, "text", ("", TEXT.answer)),
    ],
)
def test_with_chat_template(chat_tokenizer: Any, choice: str, row: Row, name: str, rendered: tuple[str, str]) -> None:
    template = resolve_template(choice, chat_tokenizer, [row])
    assert template.name == name
    assert template.render(row) == rendered


def test_user_text_with_braces_is_left_alone() -> None:
    row = Row("What is {answer}? {0} {question}", "It is {question} or {answer}.")
    assert Template("{question}|{answer}").render(row) == (row.prompt + "|", row.answer)
    assert Template("plain").render(row) == (f"Question: {row.prompt}\nAnswer:", " " + row.answer)


def test_other_answer() -> None:
    assert Template("plain").render(QA, "In Ostmere.")[1] == " In Ostmere."


def test_conversation(chat_tokenizer: Any) -> None:
    prompt, answer = resolve_template("auto", chat_tokenizer, [CHAT]).render(CHAT)
    assert prompt == chat_tokenizer.apply_chat_template(
        list(CHAT.messages or ()), tokenize=False, add_generation_prompt=True
    )
    assert answer == "In Weskmoor.<|im_end|>"


def test_mixed_sets(chat_tokenizer: Any) -> None:
    """Forget rows of one column set, retain rows of another, resolved together."""
    template = resolve_template("auto", chat_tokenizer, [TEXT, COMPLETION, QA])
    assert template.name == "chat"
    assert template.render(TEXT) == ("", TEXT.answer)
    assert template.render(COMPLETION) == ("Where?", " In Tarnholm.")
    assert template.render(QA) == (HEAD, "In Tarnholm.<|im_end|>")


@pytest.mark.parametrize(
    "choice", ["qa", "", "{answer}", "{question}", "{answer} {question}", "{question}{answer}{answer}"]
)
def test_unknown_choice(tokenizer: Any, choice: str) -> None:
    message = "is not accepted; accepted are auto, plain, chat, or a text with {question} and, after it, {answer}"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_template(choice, tokenizer, [QA])


@pytest.mark.parametrize(
    ("choice", "row", "message"),
    [
        ("chat", QA, "--template chat: the tokenizer has no chat template"),
        (
            "auto",
            CHAT,
            "c.jsonl, line 4: rows with messages need a chat template, and the tokenizer has none",
        ),
        ("plain", CHAT, "c.jsonl, line 4: rows with messages need a chat template"),
        ("chat", TEXT, "--template 'chat': all rows are plain text"),
        ("{question}{answer}", TEXT, "all rows are plain text and have no question"),
        ("text", QA, "--template text: f.jsonl, line 1 is no plain-text row"),
    ],
)
def test_choices_that_cannot_be(tokenizer: Any, choice: str, row: Row, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_template(choice, tokenizer, [row])


def test_conversation_in_another_template(chat_tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"c\.jsonl, line 4 is a conversation; accepted are auto and chat"):
        resolve_template("plain", chat_tokenizer, [CHAT])


def chat_of(tokenizer: Any, source: str, row: Row = QA) -> tuple[str, str]:
    tokenizer.chat_template = source
    return Template("chat", tokenizer).render(row)


def test_block_before_the_answer_belongs_to_the_prompt(chat_tokenizer: Any) -> None:
    source = (
        "{% for m in messages %}{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}"
    )
    prompt, answer = chat_of(chat_tokenizer, source)
    assert prompt == "user\nWhere?<|im_end|>\nassistant\n<think>\n\n</think>\n\n"
    assert answer == "In Tarnholm.<|im_end|>"


def test_generation_prompt_that_opens_a_block(chat_tokenizer: Any) -> None:
    source = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
    )
    assert chat_of(chat_tokenizer, source) == ("user: Where?</s>assistant: ", "In Tarnholm.</s>")


def test_template_that_trims(chat_tokenizer: Any) -> None:
    source = "{% for m in messages %}[{{ m.content | trim }}]{% endfor %}"
    assert chat_of(chat_tokenizer, source, Row("Where?", " Here. ")) == ("[Where?][", "Here.]")


def test_first_special_token_ends_the_answer(chat_tokenizer: Any) -> None:
    source = "{% for m in messages %}{{ m.content }}\n<|im_end|></s>\n{% endfor %}"
    assert chat_of(chat_tokenizer, source)[1] == "In Tarnholm.\n<|im_end|>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
            "changes the text of the final answer",
        ),
        ("{{ messages[0].content }}", "changes the text of the final answer"),
        (
            "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
            "renders the turns before the answer differently once the answer follows",
        ),
        ("{{ raise_exception('roles must alternate') }}", "refuses it \\(roles must alternate\\)"),
    ],
)
def test_chat_templates_that_cannot_be_used(chat_tokenizer: Any, source: str, message: str) -> None:
    with pytest.raises(InputError, match=f"f.jsonl, line 1: the tokenizer's chat template {message}"):
        chat_of(chat_tokenizer, source)


def test_conversations_as_read(chat_tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "In Tarnholm."}]
    rows = read_rows([{"messages": turns}, {"prompt": turns[:1], "completion": turns[1:]}])
    template = resolve_template("auto", chat_tokenizer, rows)
    assert {template.render(row) for row in rows} == {(HEAD, "In Tarnholm.<|im_end|>")}
