"""Parquet files: what is in unused columns does no harm, what is in used ones is named."""

import datetime
import tracemalloc
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ngdiff.data import read_rows
from ngdiff.errors import InputError

PAIR = {"question": ["Who?", "Where?"], "answer": ["Orla.", "Here."]}
BAD_TEXT = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
)
FAR_DATE = pa.array([0, 10**9], pa.date32())  # three million years from now
FAR_TIME = pa.array([0, 10**15], pa.timestamp("ms"))


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("other", [BAD_TEXT, FAR_DATE, FAR_TIME, pa.nulls(2), pa.array([{"a": [1]}, {"a": None}])])
def test_columns_that_are_not_used_do_no_harm(tmp_path: Path, other: pa.Array) -> None:
    file = written(tmp_path / "a.parquet", {"other": other, **PAIR, "other2": other})
    assert [row.answer for row in read_rows(file)] == PAIR["answer"]
    table = datasets.Dataset(pa.table({"other": other, **PAIR}))
    assert [row.answer for row in read_rows(table)] == PAIR["answer"]
    table.save_to_disk(tmp_path / "saved")
    assert [row.answer for row in read_rows(tmp_path / "saved")] == PAIR["answer"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (BAD_TEXT, "row 2: column 'answer' is not UTF-8 text"),
        (FAR_DATE, r"row [12]: column 'answer' (holds date32\[day\], not text|must be a string)"),
        (FAR_TIME, r"row [12]: column 'answer' (holds timestamp\[ms\], not text|must be a string)"),
        (pa.array([b"a", b"b"]), "row 1: column 'answer' must be a string, found bytes"),
        (pa.nulls(2), "row 1: column 'answer' must be a string, found null"),
        (pa.array([{"a": "b"}, None]), "row 1: column 'answer' must be a string, found dict"),
        (pa.array([["b"], None]), "row 1: column 'answer' must be a string, found list"),
    ],
)
def test_columns_that_are_used_are_named(tmp_path: Path, answers: pa.Array, message: str) -> None:
    file = written(tmp_path / "a.parquet", {"question": PAIR["question"], "answer": answers})
    with pytest.raises(InputError, match=rf"a\.parquet, {message}"):
        read_rows(file)
    with pytest.raises(InputError, match=r"--forget, row [12]: "):
        read_rows(datasets.Dataset(pa.table({"question": PAIR["question"], "answer": answers})))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()])
def test_other_kinds_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    answers = pa.array(PAIR["answer"]).cast(kind)
    file = written(tmp_path / "a.parquet", {"question": PAIR["question"], "answer": answers})
    assert [row.answer for row in read_rows(file)] == PAIR["answer"]


def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(1000)]
    file = written(tmp_path / "a.parquet", {"text": texts, "other": [1] * 1000}, row_group_size=300)
    rows = read_rows(file)
    assert [row.answer for row in rows] == texts
    assert rows[777].origin == f"{file}, row 778"


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="two columns of the name 'text'; there must be one"):
        read_rows(tmp_path / "a.parquet")


def test_no_column_of_use_and_no_row(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", {"body": [1], "head": FAR_DATE[:1]})
    with pytest.raises(InputError, match="row 1: found the columns 'body', 'head'; accepted column sets are"):
        read_rows(file)
    empty = written(tmp_path / "b.parquet", {"text": pa.array([], pa.string())})
    with pytest.raises(InputError, match="holds no rows"):
        read_rows(empty)
    with pytest.raises(InputError, match="holds no rows"):
        read_rows(written(tmp_path / "c.parquet", {"body": pa.array([], pa.string())}))


def test_one_long_text_in_every_row(tmp_path: Path) -> None:
    """Kilobytes on disk: the text is stored once, and a number for each row."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * 200_000]))
    file = written(tmp_path / "a.parquet", {"text": texts}, store_schema=False)
    assert file.stat().st_size < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a\.parquet: [\d,]+ bytes that become [\d,]+ in memory"):
            read_rows(file)
        assert tracemalloc.get_traced_memory()[1] < 400e6
    finally:
        tracemalloc.stop()


def test_files_cut_short(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.parquet", PAIR).read_bytes()
    for length in range(1, len(whole), 19):
        file = tmp_path / "b.parquet"
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a readable Parquet file"):
            read_rows(file)


def test_a_date_that_python_knows_is_no_text(tmp_path: Path) -> None:
    dates = [datetime.date(2020, 1, 1)] * 2
    with pytest.raises(InputError, match="row 1: column 'answer' must be a string, found date"):
        read_rows(written(tmp_path / "a.parquet", {"question": PAIR["question"], "answer": dates}))


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}]
    pq.write_table(pa.Table.from_pylist(chats), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole.replace(b"\x07element", b"\x07e\xf9ement", 1))
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_rows(tmp_path / "a.parquet")


def test_a_page_that_is_not_as_it_was_written(tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.parquet",
        PAIR,
        compression=None,
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    whole = file.read_bytes()
    assert whole.count(b"Where?") > 0
    file.write_bytes(whole.replace(b"Where?", b"There?", 1))
    with pytest.raises(InputError, match=r"cannot be read .*CRC checksum verification failed"):
        read_rows(file)
