"""Column sets, and the message for every row that fits none."""

from typing import Any

import pytest

from ngdiff.data import Row
from ngdiff.data.forms import FORMS
from ngdiff.data.row_reader import RowReader, rows_from_records
from ngdiff.errors import InputError

USER = {"role": "user", "content": "Where?"}
ASSISTANT = {"role": "assistant", "content": "Here."}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ({"question": "Q", "answer": "A", "other": 3}, Row("Q", "A", origin="here")),
        ({"prompt": "P ", "completion": " C"}, Row("P ", " C", origin="here", kind="completion")),
        ({"prompt": "", "completion": "C"}, Row("", "C", origin="here", kind="completion")),
        ({"text": "T"}, Row("", "T", origin="here", kind="text")),
        ({"messages": [USER, ASSISTANT]}, Row("Where?", "Here.", (USER,), origin="here", kind="messages")),
        (
            {"prompt": [SYSTEM, USER], "completion": [ASSISTANT]},
            Row("Where?", "Here.", (SYSTEM, USER), origin="here", kind="messages"),
        ),
        (
            {"messages": [SYSTEM | {"name": None}, ASSISTANT | {"name": "Ada"}]},
            Row("", "Here.", (SYSTEM,), origin="here", kind="messages"),
        ),
        (
            {"question": "Q", "answer": "A", "paraphrased_answer": "B", "perturbed_answer": ["C", "D"]},
            Row("Q", "A", None, "B", ("C", "D"), "here"),
        ),
        (
            {"question": "Q", "answer": "A", "paraphrased_answer": None, "perturbed_answer": None},
            Row("Q", "A", origin="here"),
        ),
    ],
)
def test_accepted(record: dict[str, Any], row: Row) -> None:
    assert RowReader().row(record, "here") == row


def test_every_column_set_has_a_test() -> None:
    accepted = test_accepted.pytestmark[0].args[1]
    assert {row.kind for _, row in accepted} == {form.kind for form in FORMS.values()}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"instruction": "Q", "response": "A"},
            "found the columns 'instruction', 'response'; accepted column sets are prompt/completion, "
            r"question/answer, messages, text, instruction/output \(Alpaca\), conversations \(ShareGPT\). Say which "
            r"is which: --columns question=instruction,answer=response\.$",
        ),
        ({}, r"found the columns \(none\)"),
        (["Q", "A"], "a row must be an object with named columns, found list"),
        ({"question": "Q", "answer": 3}, "column 'answer' must be a string, found int"),
        ({"question": None, "answer": "A"}, "column 'question' must be a string, found null"),
        ({"question": " ", "answer": "A"}, "column 'question' is empty"),
        ({"question": "Q", "answer": "\n"}, "column 'answer' is empty"),
        ({"text": ""}, "column 'text' is empty"),
        ({"prompt": "P", "completion": ""}, "column 'completion' is empty"),
        ({"prompt": "P", "completion": [ASSISTANT]}, "column 'completion' must be a string, found list"),
        (
            {"prompt": [USER], "completion": "C"},
            "column 'completion' must be a list of role/content turns, found str",
        ),
        ({"prompt": [USER], "completion": [ASSISTANT] * 2}, "must hold one assistant turn, found 2 turns"),
        ({"messages": "hello"}, "column 'messages' must be a list of role/content turns, found str"),
        ({"messages": []}, "column 'messages' must be a list of role/content turns, found an empty list"),
        ({"messages": [ASSISTANT]}, "a conversation needs at least one turn before the assistant's answer"),
        ({"messages": [ASSISTANT, USER]}, "the last turn must be the assistant's, found role 'user'"),
        ({"messages": [USER, ASSISTANT | {"content": " "}]}, "the final assistant turn is empty"),
        ({"messages": [USER, "hi"]}, "turn 2 of column 'messages' needs the keys role and content"),
        (
            {"messages": [{"role": "user"}, ASSISTANT]},
            "turn 1 of column 'messages' needs the keys role and content",
        ),
        (
            {"messages": [USER, ASSISTANT | {"tool_calls": [1]}]},
            "key 'tool_calls' of turn 2 of column 'messages' must be a list of objects, .* found a list with int",
        ),
        (
            {"messages": [USER | {"content": [{"type": "text"}]}, ASSISTANT]},
            "key 'content' of turn 1 of column 'messages' must be a string, found list",
        ),
        (
            {"question": "Q", "answer": "A", "paraphrased_answer": 1},
            "'paraphrased_answer' must be a string, found int",
        ),
        (
            {"question": "Q", "answer": "A", "perturbed_answer": "x"},
            "'perturbed_answer' must be a list of strings",
        ),
        (
            {"question": "Q", "answer": "A", "perturbed_answer": ["x", ""]},
            "column 'perturbed_answer' is empty",
        ),
        ({"question": "Q", "answer": "ab\ud83d"}, "column 'answer' has half a surrogate pair at character 2"),
    ],
)
def test_refused(record: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^forget.jsonl, line 17: .*{message}"):
        RowReader().row(record, "forget.jsonl, line 17")


def test_texts_are_not_shown_in_messages() -> None:
    with pytest.raises(InputError) as caught:
        RowReader().row({"question": "secret question", "answer": ["secret answer"]}, "x")
    assert "secret" not in str(caught.value)


def test_one_set_one_column_set() -> None:
    records: list[Any] = [("f, line 1", {"text": "T"}), ("f, line 2", {"question": "Q", "answer": "A"})]
    with pytest.raises(InputError, match=r"f, line 2: a qa row with the columns .* \(f, line 1\) is a text row"):
        rows_from_records(records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "Q", "answer": " "}, "the answer is empty"),
        ({"prompt": None, "answer": "A"}, "prompt and answer must be strings, found NoneType and str"),
        ({"prompt": "Q", "answer": "A", "kind": "messages"}, "messages and kind='messages' belong together"),
        ({"prompt": "Q", "answer": "A", "messages": (USER,)}, "messages and kind='messages' belong together"),
    ],
)
def test_row_checks_itself(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Row(**options)
