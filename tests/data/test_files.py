"""File formats, line numbers, and the message for every file that cannot be read."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ngdiff.data import read_rows
from ngdiff.data.files import READERS, read_file
from ngdiff.errors import InputError

PAIRS = [
    {"question": "Where is “Ærø”?", "answer": "Here,\nthere."},
    {"question": "Why?", "answer": 'As "so".'},
]


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def pairs_of(path: Path) -> list[dict[str, str]]:
    return [{"question": row.prompt, "answer": row.answer} for row in read_rows(path)]


WRITTEN = {
    "a.json": json.dumps(PAIRS, indent=1),
    "b.json": as_jsonl(PAIRS),
    "one.json": json.dumps(PAIRS[0], indent=2),
    "c.jsonl": as_jsonl(PAIRS),
    "d.csv": as_csv(PAIRS),
    "E.CSV": as_csv(PAIRS),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "byte order mark"])
@pytest.mark.parametrize("blank", [False, True], ids=["", "blank lines"])
def test_text_formats(tmp_path: Path, name: str, mark: str, blank: bool) -> None:
    text = WRITTEN[name] + ("\n \n" if blank and "csv" not in name.lower() else "")
    expected = PAIRS[:1] if name == "one.json" else PAIRS
    assert pairs_of(write(tmp_path / name, mark + text)) == expected


@pytest.mark.parametrize("name", ["a.json", "b.json", "c.jsonl"])
def test_crlf(tmp_path: Path, name: str) -> None:
    assert pairs_of(write(tmp_path / name, WRITTEN[name].replace("\n", "\r\n"))) == PAIRS


def test_crlf_csv_keeps_the_line_end_inside_a_cell(tmp_path: Path) -> None:
    text = 'question,answer\r\nWhere?,"Here,\nthere."\r\n\r\nWhy?,So.\r\n'
    rows = read_rows(write(tmp_path / "a.csv", text))
    assert [(row.prompt, row.answer) for row in rows] == [("Where?", "Here,\nthere."), ("Why?", "So.")]
    assert [row.origin for row in rows] == [f"{tmp_path / 'a.csv'}, line {line}" for line in (2, 5)]


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    rows = [PAIRS[0] | {"perturbed_answer": ["x", "y"]}, PAIRS[1] | {"perturbed_answer": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert pairs_of(path) == PAIRS
    assert [row.perturbed_answers for row in read_rows(path)] == [("x", "y"), ()]
    assert read_rows(path)[1].origin == f"{path}, row 2"


def test_every_reader_has_a_test() -> None:
    assert {Path(name).suffix.lower() for name in WRITTEN} | {".parquet"} == set(READERS)


@settings(max_examples=50, deadline=None)
@example([("\u2028\x85\x0b", "\x1c")])
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=4))
def test_any_text_survives_json(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    """Also line separators, control characters and quotes."""
    rows = [{"question": f"Q{q}", "answer": f"A{a}"} for q, a in pairs]
    folder = tmp_path_factory.mktemp("json")
    assert pairs_of(write(folder / "a.jsonl", as_jsonl(rows))) == rows
    assert pairs_of(write(folder / "b.json", as_jsonl(rows))) == rows
    assert pairs_of(write(folder / "c.json", json.dumps(rows, ensure_ascii=False, indent=3))) == rows


def test_lines_are_counted(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl", "\n" + as_jsonl(PAIRS[:1]) + "\n\n" + as_jsonl(PAIRS[1:]))
    assert [row.origin for row in read_rows(lines)] == [f"{lines}, line 2", f"{lines}, line 5"]
    array = write(tmp_path / "a.json", '\n[\n {"text":\n  "x"},\n\n {"text": "y"}, {"text": "z"}]')
    assert [row.origin for row in read_rows(array)] == [
        f"{array}, line {line}, row {number}" for line, number in ((3, 1), (6, 2), (6, 3))
    ]


def test_rows_on_one_line_have_names_of_their_own(tmp_path: Path) -> None:
    """Reports name the worst rows, and `audit --before` finds a row again by its name."""
    array = write(tmp_path / "a.json", json.dumps(PAIRS))
    assert [row.origin for row in read_rows(array)] == [f"{array}, line 1, row {n + 1}" for n in range(len(PAIRS))]
    with pytest.raises(InputError, match=r"a\.json, line 1, row 2: a row must be a JSON object"):
        read_rows(write(tmp_path / "a.json", '[{"text": "x"}, 3]'))


def test_splits_of_one_object(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"forget": [{"text": "x"}], "retain": [{"text": "y"}], "no": []}))
    assert read_rows(f"{path}:retain")[0].answer == "y"
    assert read_rows(f"{path}:retain")[0].origin == f"{path}:retain, row 1"
    with pytest.raises(InputError, match=r"holds several splits \(forget, retain, no\); name one"):
        read_rows(path)
    with pytest.raises(InputError, match="has no split 'test'; it has forget, retain, no"):
        read_rows(f"{path}:test")
    with pytest.raises(InputError, match="holds no rows"):
        read_rows(f"{path}:no")


def test_only_split_of_a_file_is_train(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", as_jsonl(PAIRS))
    assert read_rows(f"{path}:train") == read_rows(path)
    with pytest.raises(InputError, match="has no split 'forget10'; it has train"):
        read_rows(f"{path}:forget10")


def test_csv_lists_are_json(tmp_path: Path) -> None:
    text = 'question,answer,perturbed_answer,paraphrased_answer\nQ,A,"[""x"", ""y""]",B\nQ,A,,\n'
    rows = read_rows(write(tmp_path / "a.csv", text))
    assert [row.perturbed_answers for row in rows] == [("x", "y"), ()]
    assert [row.paraphrased_answer for row in rows] == ["B", None]


def test_long_csv_cell(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    rows = read_rows(write(tmp_path / "a.csv", "text\n" + "x" * 200_000 + "\n"))
    assert len(rows[0].answer) == 200_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", "", ": the file is empty"),
        ("a.csv", "", ": the file is empty"),
        ("a.parquet", "", ": the file is empty"),
        ("a.jsonl", "\n  \n", ": holds no rows"),
        ("a.json", "[]", ": holds no rows"),
        ("a.csv", "question;answer\nWho?;Orla.\n", ", line 1: a single column, whose name contains ';': cells must be"),
        ("a.csv", "question\tanswer\nWho?\tOrla.\n", r", line 1: a single column, whose name contains '\t': cells"),
        ("a.json", " ", ": holds no rows"),
        ("a.csv", "question,answer\n", ": holds no rows"),
        (
            "a.doc",
            "hello",
            ": unknown kind of file '.doc'; accepted are .json, .jsonl, .csv, .parquet, .txt, .md, also",
        ),
        (
            "a.jsonl",
            '{"text": "x"}\n{"text": "x"\n',
            ", line 2: not valid JSON (Expecting ',' delimiter, column 13)",
        ),
        ("a.json", '{"text": "x"}\n{"text": \n', ", line 2: not valid JSON (Expecting value"),
        (
            "a.jsonl",
            '{"text": "x"}\n3\n',
            ", line 2: a row must be a JSON object with named columns, found int",
        ),
        (
            "a.json",
            '{"text": "x"}\n"y"\n',
            ", line 2: a row must be a JSON object with named columns, found str",
        ),
        (
            "a.json",
            '[{"text": "x"},\n null]',
            ", line 2: a row must be a JSON object with named columns, found null",
        ),
        ("a.json", '[{"text": "x"},\n\n{"text" "y"}]', ", line 3: not valid JSON (Expecting ':' delimiter)"),
        (
            "a.json",
            '[{"text": "x"}\n{"text": "y"}]',
            ", line 2: not valid JSON (expected ',' or ']' after a row)",
        ),
        ("a.json", '[{"text": "x"},\n', ", line 2: not valid JSON (Expecting value)"),
        ("a.json", '[{"text": "x"}', ", line 1: not valid JSON (expected ',' or ']' after a row)"),
        ("a.json", '[{"text": "x"}]\n[]', ", line 2: not valid JSON (text after the end of the array)"),
        ("a.jsonl", "[" * 100_000, ", line 1: not valid JSON (nested too deeply)"),
        ("a.json", "[" * 100_000, ", line 1: not valid JSON (nested too deeply)"),
        (
            "a.jsonl",
            '{"text": "x"}\n{"body": "y"}',
            ", line 2: found the columns 'body'; accepted column sets are",
        ),
        ("a.jsonl", '{"question": "x"}', ", line 1: found the columns 'question'; accepted column sets are"),
        ("a.jsonl", '\n\n{"text": ""}', ", line 3: column 'text' is empty"),
        ("a.csv", "question,answer\nQ,A\nQ\n", ", line 3: found 1 cells, the header has 2 columns"),
        ("a.csv", 'question,answer\n"Q\n",A\nQ,A,B\n', ", line 4: found 3 cells, the header has 2 columns"),
        ("a.csv", 'text\n"x" y\n', ", line 2: not valid CSV"),
        ("a.csv", 'text\n"x', ", line 2: not valid CSV"),
        ("a.csv", "text,text\nx,y\n", ", line 1: a column name occurs twice: text, text"),
        (
            "a.csv",
            "question,answer,perturbed_answer\nQ,A,x; y\n",
            ", line 2: column 'perturbed_answer' of a CSV file",
        ),
        ("a.csv", "question,answer\nQ,\n", ", line 2: column 'answer' is empty"),
        ("a.parquet", "no parquet", ": not a readable Parquet file ("),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(InputError, match=re.escape(f"{path}{message}")):
        read_rows(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\n{"text": "caf\xe9"}\n')
    with pytest.raises(InputError, match="line 2: not UTF-8 text \\(byte 0xe9\\)"):
        read_rows(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no_such\.jsonl: cannot be read \(No such file or directory\)"):
        read_file(tmp_path / "no_such.jsonl")
