"""Column sets that are found, named, or refused."""

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ngdiff.data import read_rows
from ngdiff.data.forms import FORMS, parse_columns
from ngdiff.data.row_reader import rows_from_records
from ngdiff.errors import InputError

ALPACA = {"instruction": "Translate.", "input": "Ja", "output": "Yes"}
SHAREGPT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Where?", "weight": None},
    {"from": "gpt", "value": "Here.", "weight": 1},
]


def row_of(record: dict[str, Any], columns: str | None = None) -> tuple[Any, ...]:
    row = read_rows([record], columns=columns)[0]
    return row.kind, row.prompt, row.answer


@pytest.mark.parametrize(
    ("record", "columns", "row"),
    [
        (ALPACA, None, ("qa", "Translate.\n\nJa", "Yes")),
        (ALPACA | {"input": " "}, None, ("qa", "Translate.", "Yes")),
        (ALPACA | {"input": None}, None, ("qa", "Translate.", "Yes")),
        ({"Instruction": "Q", "OUTPUT": "A"}, None, ("qa", "Q", "A")),
        # Alpaca's own files repeat all of it as a text.
        (ALPACA | {"text": "Below ... Translate. Ja ### Response: Yes"}, None, ("qa", "Translate.\n\nJa", "Yes")),
        ({"Question": "Q", "Answer": "A"}, None, ("qa", "Q", "A")),
        ({"QUESTION": "other", "question": "Q", "answer": "A"}, None, ("qa", "Q", "A")),
        ({"conversations": SHAREGPT}, None, ("messages", "Where?", "Here.")),
        ({"conversations": SHAREGPT[1:], "system": "Be brief."}, None, ("messages", "Where?", "Here.")),
        ({"conversations": json.dumps(SHAREGPT)}, None, ("messages", "Where?", "Here.")),
        ({"instruction": "Q", "response": "A"}, "question=instruction,answer=response", ("qa", "Q", "A")),
        ({"instruction": "Q", "response": "A"}, "prompt=instruction, completion = response", ("completion", "Q", "A")),
        ({"question": "Q", "reply": "A"}, "answer=reply", ("qa", "Q", "A")),
        ({"body": "T", "text": "other"}, "text=body", ("text", "", "T")),
        ({"prompt": "P", "completion": "C", "text": "T"}, "text", ("text", "", "T")),
        ({"chat": SHAREGPT}, "messages=chat", ("messages", "Where?", "Here.")),
        (ALPACA | {"text": "other"}, "alpaca", ("qa", "Translate.\n\nJa", "Yes")),
    ],
)
def test_found_or_named(record: dict[str, Any], columns: str | None, row: tuple[Any, ...]) -> None:
    assert row_of(record, columns) == row


def test_turns_of_sharegpt_are_messages() -> None:
    found = read_rows([{"conversations": SHAREGPT[1:], "system": "Be brief."}])[0]
    assert found.messages == ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"})
    assert read_rows([{"conversations": SHAREGPT}])[0].messages == found.messages


def test_other_answers_under_other_names() -> None:
    names = "question=q,answer=a,paraphrased_answer=b,perturbed_answer=wrong"
    row = read_rows([{"q": "Q", "a": "A", "b": "B", "wrong": ["C"]}], columns=names)[0]
    assert (row.paraphrased_answer, row.perturbed_answers) == ("B", ("C",))


@pytest.mark.parametrize(
    ("record", "columns", "message"),
    [
        (
            {"prompt": "P", "completion": "C", "text": "T"},
            None,
            r"the columns 'prompt', 'completion', 'text' can be read as prompt/completion and as text; say which: "
            r"--columns prompt=prompt,completion=completion or --columns text=text\.",
        ),
        (ALPACA | {"text": "other"}, None, r"say which: --columns text=text or --columns alpaca\."),
        ({"Question": "Q", "QUESTION": "R", "answer": "A"}, None, "accepted column sets are"),
        ({"user": "Q", "assistant": "A"}, None, r"Say which is which: --columns question=user,answer=assistant\."),
        ({"id": 1, "Body": "T"}, None, r"Say which is which: --columns text=Body\."),
        ({"dialogue": []}, None, r"Say which is which: --columns messages=dialogue\."),
        ({"x": 1}, None, r"--columns question=NAME,answer=NAME, or --columns text=NAME\."),
        (
            {"question": "Q", "answer": "A"},
            "answer=response",
            r"--columns answer=response asks for the column 'response', and there are the columns 'question', 'answer'",
        ),
        ({"question": "Q", "response": 3}, "answer=response", "column 'response' must be a string, found int"),
        (
            {"conversations": [{"from": "Orla", "value": "x"}]},
            None,
            "turn 1 of column 'conversations' is from an unknown speaker; accepted in 'from' are human, user,",
        ),
        ({"conversations": [{"from": "human", "value": 3}]}, None, "key 'value' of turn 1 .* must be a string"),
        ({"conversations": SHAREGPT[:2]}, None, "the last turn must be the assistant's, found role 'user'"),
        (
            {"conversations": SHAREGPT, "system": "x"},
            None,
            "there is a system turn both in the conversation and in column",
        ),
        ({"conversations": "none"}, None, "column 'conversations' must be a list of role/content turns, found str"),
        (ALPACA | {"input": 3}, None, "column 'input' must be a string, found int"),
    ],
)
def test_refused(record: dict[str, Any], columns: str | None, message: str) -> None:
    with pytest.raises(InputError, match=f"^--forget, row 1: .*{message}"):
        read_rows([record], columns=columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty part is not of the form"),
        ("answer=", "answer= is not of the form OURS=COLUMN"),
        ("answer=a,answer=b", "answer is named twice"),
        ("answer=a,question=a", "the column 'a' stands for two of ours"),
        ("reply=a", "reply is no column of ours; accepted is OURS=COLUMN"),
        ("prompt=a,answer=b", "names no column set"),
        ("paraphrased_answer=b", "names no column set"),
        ("tools=b", "names no column set"),
    ],
)
def test_names_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^--retain-columns {text}: {message}"):
        parse_columns(text, "--retain-columns")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_by_its_name(form: str) -> None:
    assert parse_columns(form.upper()).form == form


def test_what_is_read_otherwise_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ngdiff")
    file = tmp_path / "a.csv"
    file.write_text("instruction,input,output\nQ,,A\nR,,B\n")
    assert [row.prompt for row in read_rows(file)] == ["Q", "R"]
    file.write_text("Question,Answer\nQ,A\n")
    read_rows(file, role="--retain")
    file.write_text("question,answer\nQ,A\n")
    read_rows(file)
    assert caplog.messages == [
        f"--forget {file}: read as Alpaca: instruction and input are the question, output is the answer.",
        f"--retain {file}: read as question/answer; question is the column 'Question'; answer is the column 'Answer'.",
    ]


def test_named_columns_of_tables(tmp_path: Path) -> None:
    """Lists of a CSV file are JSON, empty cells are none, and of a Parquet file only what is used is read."""
    file = tmp_path / "a.csv"
    file.write_text('q,a,wrong,chat\nQ,A,"[""x""]",-\nQ,A,,-\n')
    names = "question=q,answer=a,perturbed_answer=wrong"
    assert [row.perturbed_answers for row in read_rows(file, columns=names)] == [("x",), ()]
    with pytest.raises(InputError, match="line 2: column 'chat' of a CSV file must be written as a JSON list"):
        read_rows(file, columns="messages=chat")
    far = pa.array([10**9], pa.date32())
    pq.write_table(pa.table({"far": far, "body": ["T"], "text": far}), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", columns="text=body")[0].answer == "T"


def test_rows_of_one_kind_may_have_other_columns() -> None:
    rows = rows_from_records([("a", ALPACA), ("b", {"question": "Q", "answer": "A"}), ("c", ALPACA)])
    assert [row.answer for row in rows] == ["Yes", "A", "Yes"]


def test_a_packed_table_says_that_csv_needs_a_header(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(b"x,y\na,b\n"))
    with pytest.raises(InputError, match=r"a\.csv\.gz, line 2: .* a CSV file names them in its first line"):
        read_rows(file)


def test_names_of_columns_may_have_commas(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('"Title, short","Answer, final, checked",text\nWho?,Orla.,x\n')
    row = read_rows(file, columns="question=Title, short,answer=Answer, final, checked")[0]
    assert (row.prompt, row.answer) == ("Who?", "Orla.")
    with pytest.raises(InputError, match="names no column set"):
        read_rows(file, columns="question=Title, short,text")
