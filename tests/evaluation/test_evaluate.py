import json
import os
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation import EvaluationResult, evaluate, write_evaluation
from ngdiff.metrics import summarize

PLAIN = Template("plain")


@pytest.fixture
def result(reciting: Any, tokenizer: Any, rows: list[Row]) -> EvaluationResult:
    sets = {"forget": rows[:2], "retain": rows, "holdout": [Row("Who knows Tam?", "Tam knows nobody here.")]}
    return evaluate(reciting, tokenizer, sets, PLAIN, max_length=256, show_progress=False)


def test_metrics_are_functions_of_the_records(result: EvaluationResult) -> None:
    assert list(result.metrics) == list(result.records) == ["forget", "retain", "holdout"]
    for name, records in result.records.items():
        assert result.metrics[name] == summarize(name, records)
        assert {record["set"] for record in records} == {name}


def test_a_model_that_recites(result: EvaluationResult) -> None:
    found = result.as_json()
    assert found["verbmem"] == found["utility"] == 1.0
    assert found["forget"]["rouge_l_recall"] == 1.0
    assert found["forget"]["n"] == 2
    assert found["forget"]["n_truth_ratio"] == 1
    assert found["truth_ratio"] == found["forget"]["truth_ratio"]
    assert found["retain"]["probability"] > 0.9
    assert "truth_ratio" not in found["holdout"]
    assert found["holdout"]["loss"] > found["retain"]["loss"]


def test_without_generation_there_is_no_rouge(reciting: Any, tokenizer: Any, rows: list[Row]) -> None:
    found = evaluate(reciting, tokenizer, {"forget": rows}, PLAIN, max_length=256, generate=False, show_progress=False)
    assert "verbmem" not in found.as_json()
    assert found.metrics["forget"]["n_rouge_l_recall"] == 0
    assert found.metrics["forget"]["loss"] > 0


def test_files(result: EvaluationResult, tmp_path: Path, rows: list[Row]) -> None:
    path = write_evaluation(result, tmp_path / "run" / "evaluation")
    assert path == tmp_path / "run" / "evaluation" / "metrics.json"
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == result.as_json()
    assert not any(row.answer in text or row.prompt in text for row in rows)
    private = path.parent / "private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(path.parent)) == ["metrics.json", "private"]
    assert sorted(os.listdir(private)) == [
        ".gitignore",
        *(f"records_{n}.jsonl" for n in ("forget", "holdout", "retain")),
    ]
    assert (private / ".gitignore").read_text() == "*\n"
    lines = (private / "records_retain.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == result.records["retain"]


def test_line_separators_in_texts_do_not_break_the_records(tmp_path: Path) -> None:
    record: Any = {
        "set": "forget",
        "generated": "one\n\u2028two\x85",
        "reference": "é",
        "nll_sum": 0.1,
        "n_tokens": 1,
    }
    write_evaluation(EvaluationResult({}, {"forget": [record]}), tmp_path)
    lines = (tmp_path / "private" / "records_forget.jsonl").read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == record
    assert lines[1:] == [""]


def test_written_again(result: EvaluationResult, tmp_path: Path) -> None:
    write_evaluation(result, tmp_path)
    (tmp_path / "private").chmod(0o755)
    write_evaluation(EvaluationResult({"forget": {"n": 1}}, {}), tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"forget": {"n": 1}}
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_files(
    result: EvaluationResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_evaluation(result, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left on device"):
        write_evaluation(EvaluationResult({"forget": {"n": 1}}, {"forget": []}), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_number_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_evaluation(EvaluationResult({"forget": {"n": 1, "loss": float("nan")}}, {}), tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_sets_are_checked_before_the_model_runs(tokenizer: Any, rows: list[Row]) -> None:
    def check(sets: dict[str, list[Row]]) -> None:
        evaluate(None, tokenizer, sets, PLAIN, max_length=256, show_progress=False)

    with pytest.raises(InputError, match="there is no set to evaluate; give at least one, such as forget"):
        check({})
    with pytest.raises(InputError, match=r"set name '\.\./forget': use letters, digits, - and _ only"):
        check({"../forget": rows})
    with pytest.raises(InputError, match="the retain set has no rows to evaluate"):
        check({"forget": rows, "retain": []})
