"""Documents, patterns, folders as the hub has them, and compressed files."""

import bz2
import gzip
import logging
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ngdiff.data import read_rows
from ngdiff.errors import InputError
from ngdiff.manifest import describe_data, write_manifest

LINE = b'{"text": "x"}\n'
PACKED = {
    "a.jsonl.gz": gzip.compress(LINE),
    "a.json.bz2": bz2.compress(LINE),
    "A.CSV.XZ": lzma.compress(b"text\nx\n"),
    "a.jsonl.zst": pa.compress(LINE, codec="zstd", asbytes=True),
    "a.md.gz": gzip.compress(b"x\n"),
}


def answers(source: object) -> list[str]:
    return [row.answer for row in read_rows(source)]


def begin_run(folder: Path) -> None:
    folder.mkdir()
    write_manifest(folder, command=["ngdiff"], config={}, data={}, model={}, template=None, seed=0)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    for name in ("b.txt", "a.md", "deep/c.MD", ".hidden/d.txt", "deep/.e.txt", "image.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"\ufeffText of {path.stem}.\r\n", encoding="utf-8")
    return folder


def test_a_document_is_a_row(notes: Path) -> None:
    row = read_rows(notes / "b.txt")[0]
    assert (row.kind, row.prompt, row.answer) == ("text", "", "Text of b.")
    assert row.origin == row.document == str(notes / "b.txt")


def test_a_folder_of_documents(notes: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ngdiff")
    assert answers(notes) == ["Text of a.", "Text of b.", "Text of c."]
    assert caplog.messages == [f"--forget {notes}: read as 3 documents."]
    with pytest.raises(InputError, match="holds documents, which have no splits; there is no 'train'"):
        read_rows(f"{notes}:train")
    with pytest.raises(InputError, match=r"--columns text=body: --forget .*notes holds documents, which have no col"):
        read_rows(notes, columns="text=body")


def test_what_a_run_wrote_into_a_folder_of_documents_is_no_document(notes: Path) -> None:
    """The card of a model would be a row: `--output` may lie in the folder of `--retain`."""
    run = notes / "deep" / "run"
    begin_run(run)
    (run / "README.md").write_text("A card.")
    (run / "private").mkdir()
    (run / "private" / "notes.txt").write_text("Not a row either.")
    for source in (str(notes), f"{notes}/**/*.[mMt]*"):
        rows = read_rows(source)
        assert sorted(row.answer for row in rows) == ["Text of a.", "Text of b.", "Text of c."], source
        described = describe_data(source, rows)["files"]
        assert not [name for name in described if "run" in name], source
    assert answers(f"{run}/README.md") == ["A card."]


def test_a_pattern_names_files_of_rows_in_a_run(notes: Path) -> None:
    """Such as the data of a demo."""
    run = notes / "run"
    begin_run(run)
    (run / "rows.jsonl").write_bytes(LINE)
    assert answers(f"{notes}/r*/rows.jsonl") == ["x"]


def test_rows_that_a_run_made_are_not_found_by_a_pattern_of_all_folders(notes: Path) -> None:
    """Such as those of `--retain auto`, which would be in the set twice."""
    (notes / "rows.jsonl").write_bytes(LINE * 2)
    run = notes / "run"
    begin_run(run)
    (run / "private").mkdir()
    (run / "private" / "made.jsonl").write_bytes(LINE)
    pattern = f"{notes}/**/*.jsonl"
    rows = read_rows(pattern)
    assert [row.answer for row in rows] == ["x", "x"]
    assert list(describe_data(pattern, rows)["files"]) == ["rows.jsonl"]
    assert answers(f"{run}/**/*.jsonl") == ["x"]  # that folder itself was named


def test_an_output_folder_is_no_folder_of_rows(notes: Path) -> None:
    begin_run(notes / "run")
    with pytest.raises(InputError, match=r"run: this is an output folder of ngdiff, not a folder of rows; name a file"):
        read_rows(str(notes / "run"))


def test_rows_come_before_documents(notes: Path) -> None:
    """The README of a data set is no part of it."""
    (notes / "train.jsonl").write_bytes(LINE)
    assert answers(notes) == ["x"]


def test_patterns(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers(f"{notes}/*.txt") == ["Text of b."]
    assert answers(f"{notes}/**/*.[mM]*") == ["Text of a.", "Text of c."]
    monkeypatch.chdir(notes)
    assert answers("?.md") == ["Text of a."]
    described = describe_data("?.md", read_rows("?.md"))
    assert list(described["files"]) == ["a.md"]
    assert described["place"] == f"{notes}/?.md"
    for name in ("1.jsonl", "2.jsonl"):
        (notes / name).write_bytes(LINE * int(name[0]))
    assert answers("[12].jsonl*") == ["x"] * 3
    assert read_rows("*.jsonl")[1].origin == "2.jsonl, line 1"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.nothing", r"--forget .*\*\.nothing: no file has a name like that"),
        ("gone/*.md", "no file has a name like that"),
        ("*", r"a\.md is a document and .*image\.png is none; name them by two patterns"),
        ("*.png", "unknown kind of file '.png'"),
    ],
)
def test_patterns_that_are_refused(notes: Path, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(f"{notes}/{pattern}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n", "the file is empty; leave it out"),
        (b"", "the file is empty"),
        (b"a\ncaf\xe9", "line 2: not UTF-8 text"),
    ],
)
def test_documents_that_are_refused(notes: Path, content: bytes, message: str) -> None:
    (notes / "b.txt").write_bytes(content)
    with pytest.raises(InputError, match=rf"b\.txt[:,] {message}"):
        read_rows(notes)


@pytest.mark.parametrize("name", PACKED)
def test_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PACKED[name])
    assert answers(tmp_path / name) == ["x"]
    if ".md" not in name:
        assert answers(f"{tmp_path}:{name[0]}") == ["x"]


def test_a_packed_table_and_a_line_number(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x", "y"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert answers(tmp_path / "b.parquet.gz") == ["x", "y"]
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(LINE + b"{"))
    with pytest.raises(InputError, match=r"b\.jsonl\.gz, line 2: not valid JSON"):
        read_rows(tmp_path / "b.jsonl.gz")


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_that_are_damaged(tmp_path: Path, name: str) -> None:
    for content in (b"no such thing", PACKED[name][:-3]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"not a readable {Path(name).suffix.lower()} file"):
            read_rows(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt.xz"])
def test_bombs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ngdiff.data.unpacked._LARGE", 1 << 20)
    pack = gzip.compress if name.endswith("gz") else lzma.compress
    (tmp_path / name).write_bytes(pack(bytes(8 << 20)))
    with pytest.raises(InputError, match=r"[\d,]+ bytes that become [\d,]+ in memory; that is taken for damage"):
        read_rows(tmp_path / name)


def hub(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": [f"{number}"]}), folder / name)
    (folder / "README.md").write_text("A card.")
    (folder / "dataset_infos.json").write_text("{}")
    return folder


def test_a_folder_as_the_hub_has_it(tmp_path: Path) -> None:
    one, two = (f"data/train-{number:05d}-of-00002.parquet" for number in range(2))
    folder = hub(tmp_path, two, one, "data/test-00000-of-00001.parquet")
    assert answers(f"{folder}:train") == ["1", "0"]
    assert answers(f"{folder}:test") == ["2"]
    with pytest.raises(InputError, match=r"holds several splits \(test, train\); name one"):
        read_rows(folder)
    (folder / one).unlink()
    with pytest.raises(InputError, match=r"split 'train' lacks 1 of its 2 files, the first train-00000-of-00002"):
        read_rows(f"{folder}:train")


def test_a_split_twice(tmp_path: Path) -> None:
    folder = hub(tmp_path, "data/train.parquet", "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"exists more than once \(train-00000-of-00001.parquet, data/train.parquet\)"):
        read_rows(f"{folder}:train")
