"""Every way to name a data set, and what is said where nothing is found."""

import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from ngdiff.data import Row, read_rows
from ngdiff.data import sources as sources_module
from ngdiff.data.hub import read_hub
from ngdiff.errors import InputError

ONE = [{"question": "Where?", "answer": "Here."}]
TWO = [{"question": "When?", "answer": "Now."}, {"question": "Why?", "answer": "So."}]
ACCEPTED = "accepted are a path, a hub name, a datasets.Dataset and a list of mappings."


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answers(rows: list[Row]) -> list[str]:
    return [row.answer for row in rows]


def test_sequences() -> None:
    assert answers(read_rows(TWO)) == ["Now.", "So."]
    assert answers(read_rows(tuple(TWO))) == ["Now.", "So."]
    assert [row.origin for row in read_rows(TWO, role="--retain")] == ["--retain, row 1", "--retain, row 2"]
    kept = Row("Q", "A", origin="mine")
    assert read_rows([kept, Row("Q", "A")]) == [kept, Row("Q", "A", origin="--forget, row 2")]


def test_dataset() -> None:
    table = datasets.Dataset.from_list(TWO)
    assert answers(read_rows(table)) == ["Now.", "So."]
    perturbed = datasets.Dataset.from_list([ONE[0] | {"perturbed_answer": ["x", "y"]}]).with_format("numpy")
    assert read_rows(perturbed)[0].perturbed_answers == ("x", "y")
    assert read_rows(table, role="--retain")[1].origin == "--retain, row 2"


def test_saved_dataset(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ONE).save_to_disk(tmp_path / "one")
    both = {"forget": datasets.Dataset.from_list(ONE), "retain": datasets.Dataset.from_list(TWO)}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "both")
    datasets.DatasetDict({"forget": both["forget"]}).save_to_disk(tmp_path / "single")
    datasets.Dataset.from_dict({"text": []}).save_to_disk(tmp_path / "empty")
    assert answers(read_rows(tmp_path / "one")) == answers(read_rows(f"{tmp_path}/one:train")) == ["Here."]
    assert answers(read_rows(f"{tmp_path}/both:retain")) == ["Now.", "So."]
    assert answers(read_rows(tmp_path / "single")) == ["Here."]
    assert read_rows(f"{tmp_path}/both:retain")[1].origin == f"{tmp_path}/both:retain, row 2"
    with pytest.raises(InputError, match=r"both: holds several splits \(forget, retain\); name one as"):
        read_rows(tmp_path / "both")
    with pytest.raises(InputError, match="both: has no split 'test'; it has forget, retain"):
        read_rows(f"{tmp_path}/both:test")
    with pytest.raises(InputError, match="one: has no split 'test'; it holds a single set"):
        read_rows(f"{tmp_path}/one:test")
    with pytest.raises(InputError, match="empty: holds no rows"):
        read_rows(tmp_path / "empty")
    (tmp_path / "one" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="one: the saved data set cannot be read"):
        read_rows(tmp_path / "one")


def test_folder_of_files(tmp_path: Path) -> None:
    write(tmp_path / "forget.jsonl", ONE)
    assert answers(read_rows(tmp_path)) == ["Here."]
    write(tmp_path / "retain.json", TWO)
    (tmp_path / "readme.txt").write_text("not data", encoding="utf-8")
    assert answers(read_rows(f"{tmp_path}:retain")) == ["Now.", "So."]
    assert read_rows(f"{tmp_path}:forget")[0].origin == f"{tmp_path / 'forget.jsonl'}, line 1"
    with pytest.raises(InputError, match=r"holds several splits \(forget, retain\); name one as .*:SPLIT"):
        read_rows(tmp_path)
    with pytest.raises(InputError, match="has no split 'test'; it has forget, retain"):
        read_rows(f"{tmp_path}:test")
    write(tmp_path / "retain.jsonl", TWO)
    with pytest.raises(InputError, match=r"split 'retain' exists more than once \(retain.json, retain.jsonl\)"):
        read_rows(f"{tmp_path}:retain")


def test_folder_without_data(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds neither data files \(.json, .jsonl, .csv, .parquet\) nor a saved"):
        read_rows(tmp_path)


def test_path_with_a_colon(tmp_path: Path) -> None:
    assert answers(read_rows(write(tmp_path / "a:b" / "cd.jsonl", ONE))) == ["Here."]
    assert answers(read_rows(f"{tmp_path}/a:b:cd")) == ["Here."]


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "set" / "forget.jsonl", ONE)
    assert answers(read_rows("~/set:forget")) == answers(read_rows("~/set/forget.jsonl")) == ["Here."]


@pytest.mark.parametrize(
    "source",
    [
        "forget.jsonl",
        "./data/forget",
        "/no/such/folder:forget10",
        "~/none",
        "data/forget.csv:train",
        "",
        "a/b/c",
    ],
)
def test_missing(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        read_rows(source, role="--retain")
    shown = source or "''"
    assert str(caught.value) == f"--retain {shown}: no such file or folder"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, f"--forget: cannot read rows from a int; {ACCEPTED}"),
        (b"x.json", f"--forget: cannot read rows from a bytes; {ACCEPTED}"),
        (
            pd.DataFrame(ONE),
            f'--forget: cannot read rows from a DataFrame; {ACCEPTED[:-1]} (of a DataFrame: frame.to_dict("records")).',
        ),
        ([], "--forget: holds no rows."),
        (datasets.Dataset.from_dict({"text": []}), "--forget: holds no rows."),
        (
            datasets.DatasetDict(a=datasets.Dataset.from_list(ONE), b=datasets.Dataset.from_list(TWO)),
            "--forget: a DatasetDict with the splits a, b; pass one of them.",
        ),
        ([3], "--forget, row 1: a row must be an object with named columns, found int."),
        (
            [*ONE, {"text": "T"}],
            "--forget, row 2: a text row, but the first row of this set is a qa row; one set must keep to one column "
            "set.",
        ),
    ],
)
def test_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_rows(source)
    assert str(caught.value) == message
    with pytest.raises(InputError) as caught:
        read_rows(source, role="the rows")
    assert str(caught.value) == message.replace("--forget", "the rows", 1)


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub repository as `datasets` sees one, in a local folder: the same code loads both."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    for name in ("forget10", "retain90", "both_train", "both_test"):
        write(folder / f"{name}.json", TWO if "retain" in name or "test" in name else ONE)
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: forget10\n  data_files: forget10.json\n"
        "- config_name: retain90\n  data_files: retain90.json\n"
        "- config_name: both\n  data_files:\n"
        "  - split: train\n    path: both_train.json\n  - split: test\n    path: both_test.json\n---\n",
        encoding="utf-8",
    )
    return folder


def test_hub(hub_folder: Path) -> None:
    name = str(hub_folder)
    assert [record["answer"] for _, record in read_hub(name, "retain90")] == ["Now.", "So."]
    assert [record["answer"] for _, record in read_hub(name, "both:test")] == ["Now.", "So."]
    assert [record["answer"] for _, record in read_hub(name, "both:test[:1]")] == ["Now."]
    assert read_hub(name, "retain90")[1][0] == f"{name}:retain90, row 2"
    with pytest.raises(InputError, match=r"both: has several splits \(train, test\); name one as .*:both:SPLIT"):
        read_hub(name, "both")
    with pytest.raises(InputError, match="could not be loaded from the hub \\(Config name is missing"):
        read_hub(name, None)
    with pytest.raises(InputError, match='could not be loaded from the hub \\(Unknown split "none"'):
        read_hub(name, "both:none")


def test_hub_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which name and split reach the hub, and the perturbed answers that are fetched for TOFU's splits."""
    seen = []

    def hub(name: str, split: str | None, *_: Any) -> list[Any]:
        seen.append((name, split))
        extra = {"perturbed_answer": ["There."]} if split and "perturbed" in split else {}
        return [(f"{name}:{split}, row 1", ONE[0] | extra)]

    monkeypatch.setattr(sources_module, "read_hub", hub)
    for source in ("squad", "a/b", "a/b:train", "a/b:c:train", "a/b:train[:5]", "a/b:forget10"):
        assert read_rows(source)[0].perturbed_answers == ()
    expected = [("squad", None), ("a/b", None), ("a/b", "train"), ("a/b", "c:train"), ("a/b", "train[:5]")]
    assert seen == [*expected, ("a/b", "forget10")]
    seen.clear()
    assert read_rows("locuslab/TOFU:forget10")[0].perturbed_answers == ("There.",)
    assert read_rows("locuslab/tofu:retain95")[0].perturbed_answers == ("There.",)
    assert seen == [
        ("locuslab/TOFU", "forget10"),
        ("locuslab/TOFU", "forget10_perturbed"),
        ("locuslab/tofu", "retain95"),
        ("locuslab/tofu", "retain_perturbed"),
    ]


def test_no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for source in ("nobody/nothing", "nobody/nothing:forget", "forget"):
        with pytest.raises(InputError, match=f"{source}: no file or folder of that name here, and it could not be"):
            read_rows(source)
