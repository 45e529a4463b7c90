"""`ngdiff evaluate` writes what `ngdiff score` makes of its records, and `ngdiff compare` reads both."""

import json
import shutil

import pytest

from .runs import rows_of, run, succeeded, write_rows


@pytest.fixture
def evaluated(material, tmp_path):
    """An evaluation with a holdout set and perturbed answers."""
    rows = [{**row, "perturbed_answer": ["wrong", "wrong too"]} for row in rows_of(material.forget)]
    forget = write_rows(tmp_path / "forget.jsonl", rows)
    kept = rows_of(material.retain)
    write_rows(tmp_path / "retain.jsonl", kept[:6])
    write_rows(tmp_path / "holdout.jsonl", kept[6:])
    sets = ["--forget", forget, "--retain", tmp_path / "retain.jsonl", "--holdout", tmp_path / "holdout.jsonl"]
    outcome = succeeded(run("evaluate", "--model", material.model, *sets, "--output", tmp_path / "e"))
    return tmp_path / "e", outcome


def test_both_commands_find_the_same_numbers(evaluated, tmp_path):
    folder, outcome = evaluated
    again = succeeded(run("score", folder, "--output", tmp_path / "again.json"))
    found = json.loads((folder / "metrics.json").read_text())
    assert found == json.loads((tmp_path / "again.json").read_text())
    assert {"verbmem", "utility", "membership", "confidence"} <= set(found)
    low, high = found["confidence"]["sets"]["retain"]["rouge_l_recall"]
    assert low <= found["utility"] <= high
    table = outcome.out.partition("Written to")[0]
    assert table.strip() == again.out.partition("Written to")[0].strip()


def test_a_retrained_model_of_the_same_records_cannot_be_told_apart(evaluated, tmp_path):
    folder, _ = evaluated
    other = shutil.copytree(folder / "private", tmp_path / "other" / "private").parent  # without a manifest
    outcome = succeeded(run("score", folder, "--retrained", other))
    assert "forget quality" in outcome.out
    assert "1.0000" in outcome.out


@pytest.mark.parametrize("option", ["--retrained", "--base"])
@pytest.mark.parametrize("part", [".", "private/records_forget.jsonl"])
def test_the_model_itself_is_no_reference(evaluated, option, part):
    folder, _ = evaluated
    where = folder if part == "." else folder / part
    message = f"{option} {where}: it has the weights of the model itself; name a model that never saw the rows"
    assert run("score", folder, option, where).error == message


def test_evaluations_are_compared(evaluated):
    folder, _ = evaluated
    outcome = succeeded(run("compare", f"one={folder}", f"two={folder}", "--format", "markdown"))
    table, _, notes = outcome.out.strip().partition("\n\n")
    header, rule, *rows = table.splitlines()
    assert notes.startswith("note: without a --reference")
    assert set(rule) <= set("|-: ")
    assert "Verbmem" in header
    assert [row.split("|")[1].strip().strip("*") for row in rows] == ["one", "two"]
