"""`--protect`: from the command line to the manifest, the losses, the evaluation and the dry run."""

import json
import shlex

import pytest

from .runs import rows_of, run, succeeded, write_rows


@pytest.fixture
def protected(tmp_path):
    return write_rows(
        tmp_path / "other.jsonl",
        [{"text": f"Rows in neither set, number {i}, which stay as they are."} for i in range(3)],
    )


def test_it_is_recorded_measured_and_passed_on(material, protected, tmp_path):
    done = succeeded(run(*material.words(tmp_path / "u", protect=protected, num_train_epochs=1)))
    assert "protect loss: " in done.out
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert manifest["data"]["protect"]["rows"] == 3
    assert "other.jsonl" in manifest["data"]["protect"]["files"]
    assert manifest["extra"]["losses_after"].keys() == {"forget", "retain", "protect"}
    command = next(line for line in done.out.splitlines() if "ngdiff evaluate" in line)
    words = shlex.split(command[command.index("ngdiff evaluate") :])[1:]
    assert words[words.index("--protect") + 1] == str(protected)
    scored = [*words, "--no-generate", "--output", tmp_path / "scores"]
    succeeded(run(*scored))
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert metrics["protect"]["loss"] == pytest.approx(manifest["extra"]["losses_after"]["protect"], abs=1e-4)


def test_a_row_to_forget_cannot_be_protected(material, tmp_path):
    refused = run(*material.words(tmp_path / "u", protect=material.forget))
    assert refused.status == 2
    assert refused.error.startswith("4 of 4 rows of --protect are also in --forget, the first at ")


def test_rows_that_are_kept_anyway_are_said(material, tmp_path, caplog):
    succeeded(run(*material.words(tmp_path / "u", protect=material.retain, max_steps=1)))
    assert "12 of 12 rows of --protect are also in --retain, which keeps them already: --protect is for" in caplog.text
    caplog.clear()
    rows = [*rows_of(material.retain)[:1], {"question": "Who else?", "answer": "Nobody."}]
    some = write_rows(tmp_path / "some.jsonl", rows)
    succeeded(run(*material.words(tmp_path / "v", "--dry-run", protect=some)))
    assert "1 of 2 rows of --protect is also in --retain, which keeps it already" in caplog.text


def test_rows_that_are_holdout_rows_are_said(material, tmp_path, caplog):
    rows = [{"question": f"Who lives at number {i}?", "answer": f"Nobody{i}."} for i in range(3)]
    holdout = write_rows(tmp_path / "holdout.jsonl", rows)
    some = write_rows(tmp_path / "some.jsonl", [*rows[:2], {"question": "Who else?", "answer": "Nobody."}])
    succeeded(run(*material.words(tmp_path / "u", "--dry-run", protect=some, holdout=holdout)))
    assert "2 of 3 rows of --protect are also in --holdout: rows that a run protects say nothing" in caplog.text


@pytest.mark.parametrize("form", ["prompt and completion", "text"])
def test_other_columns_hide_no_row(material, tmp_path, caplog, form):
    """As between the other sets: what the model is shown is compared."""
    retain, holdout = rows_of(material.retain)[:2], [{"question": "Who is next?", "answer": "Nobody."}]

    def written(row):
        prompt, answer = f"Question: {row['question']}\nAnswer:", f" {row['answer']}"
        return {"text": prompt + answer} if form == "text" else {"prompt": prompt, "completion": answer}

    protect = write_rows(tmp_path / "protect.jsonl", map(written, [*retain, *holdout]))
    never_seen = write_rows(tmp_path / "holdout.jsonl", holdout)
    sets = {"protect": protect, "holdout": never_seen, "template": "plain"}
    succeeded(run(*material.words(tmp_path / "u", "--dry-run", **sets)))
    assert "2 of 3 rows of --protect are also in --retain, which keeps them already" in caplog.text
    assert "1 of 3 rows of --protect is also in --holdout: rows that a run protects say nothing" in caplog.text


def test_a_dry_run_knows_them(material, protected, tmp_path):
    parts = "head before unlearning"
    plain, beside = (
        succeeded(run(*material.words(tmp_path / "u", "--dry-run", protect=given))).out for given in (None, protected)
    )
    assert parts not in plain
    assert parts in beside


def test_images_have_no_such_option(tmp_path):
    refused = run("unlearn", "--task", "image", "--protect", "x.jsonl", "--output", tmp_path / "u")
    assert refused.status == 2
    assert "--protect" in refused.error
