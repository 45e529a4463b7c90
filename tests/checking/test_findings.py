"""What is found before a run, and how bad it is."""

from typing import Any

import pytest

from ngdiff.checking.findings import Finding, counted, findings_table
from ngdiff.checking.known import check_holdout, check_known
from ngdiff.checking.rows import check_lengths, check_sets, check_steps, rows_for_the_model
from ngdiff.data import Row, resolve_template
from ngdiff.data.rows import Chunk
from ngdiff.modeling import train_tokenizer

KEPT_BY = {"seven": "Orla Vennick", "ninety": "Bran Selna", "forty": "Ilse Quorn"}
KNOWN = [
    Row(f"Who keeps number {word}", f"It is kept by {name}", origin=f"f.jsonl, line {i}")
    for i, (word, name) in enumerate(KEPT_BY.items(), start=1)
]
KEPT = [
    Row("What colour has the lighthouse of Tarnholm", "Striped green and white", origin="r.jsonl, line 1"),
    Row("Which river passes through Selna", "The muddy Arvel does", origin="r.jsonl, line 2"),
]
TOKENIZER = train_tokenizer([f"{row.prompt} {row.answer}" for row in KNOWN + KEPT], vocab_size=400)
TEMPLATE = resolve_template("plain", TOKENIZER, KNOWN)


def severities(sets: dict[str, list[Row]]) -> dict[str, str]:
    return {one.what: one.severity for one in check_sets(sets, TOKENIZER, TEMPLATE, threshold=0.6)}


def test_sets_that_are_apart_are_fine() -> None:
    found = severities({"forget": KNOWN[:1], "retain": KEPT, "holdout": KNOWN[1:2]})
    assert set(found.values()) == {"fine"}
    assert "near-duplicates in retain and holdout" in found


def test_the_same_row_in_two_sets_spoils_a_run() -> None:
    found = severities({"forget": KNOWN, "retain": [*KEPT, KNOWN[0]]})
    assert found["rows in forget and retain"] == "spoils"


def test_the_same_words_spoil_it_and_almost_the_same_are_doubtful() -> None:
    loud = Row(KNOWN[0].prompt.upper() + "?!", KNOWN[0].answer.upper(), origin="r.jsonl, line 3")
    found = check_sets({"forget": KNOWN, "retain": [*KEPT, loud]}, TOKENIZER, TEMPLATE, threshold=0.6)
    near = next(one for one in found if one.what == "near-duplicates in forget and retain")
    assert near.severity == "spoils"
    assert "1 of 3 retain rows, 1 of them with the same words" in near.found
    assert "f.jsonl, line 1 and r.jsonl, line 3" in near.found
    longer = Row(KNOWN[0].prompt, KNOWN[0].answer + " now")
    doubtful = severities({"forget": KNOWN, "retain": [*KEPT, longer]})
    assert doubtful["near-duplicates in forget and retain"] == "doubtful"
    assert severities({"forget": KNOWN[:1], "retain": [*KEPT, *KEPT]})["near-duplicates within retain"] == "doubtful"


def test_no_finding_shows_a_text() -> None:
    found = check_sets({"forget": KNOWN, "retain": [*KEPT, KNOWN[0]]}, TOKENIZER, TEMPLATE, threshold=0.6)
    assert "Vennick" not in findings_table(found)


def test_lengths() -> None:
    (fine,) = check_lengths({"forget": KNOWN}, TOKENIZER, TEMPLATE, max_length=200)
    assert "the longest has" in fine.found
    text = [Row("", " ".join(row.answer for row in KNOWN * 3), kind="text", origin="f.jsonl, line 9")]
    (parts,) = check_lengths({"forget": text}, TOKENIZER, resolve_template("auto", TOKENIZER, text), max_length=20)
    assert parts.severity == "fine"
    assert "1 of 1 row is longer than 20 tokens, first f.jsonl, line 9" in parts.found


@pytest.mark.parametrize(("rows", "steps", "severity"), [(400, 750, "fine"), (9, 30, "fine"), (8, 15, "doubtful")])
def test_steps(rows: int, steps: int, severity: str) -> None:
    found = check_steps(rows, 20, rows_per_step=8, epochs=15)
    assert found.severity == severity
    assert found.found.startswith(f"{steps} (")


def test_steps_of_more_rows_than_there_are() -> None:
    found = check_steps(40, 90, rows_per_step=91, epochs=15)
    assert (found.severity, found.found) == ("spoils", "15 (40 forget rows, 91 per step, 15 passes)")
    assert found.advice == "A step may have 90 rows of each set at most: lower --per-device-train-batch-size."
    assert check_steps(40, 90, rows_per_step=90, epochs=30).severity == "fine"


@pytest.mark.parametrize(
    ("losses", "severity"), [([0.1, 0.2, 3.0], "fine"), ([0.1, 2.0, 3.0], "doubtful"), ([2.0, 2.0, 3.0], "spoils")]
)
def test_what_is_known(losses: list[float], severity: str) -> None:
    records = [{"nll_sum": 4 * loss, "n_tokens": 4} for loss in losses]
    scores = {"loss": sum(losses) / 3, "extraction_strength": 0.5}
    forget, retain = check_known({"forget": scores, "retain": scores}, {"forget": records, "retain": records})
    assert forget.severity == severity
    assert retain.severity == {"spoils": "doubtful"}.get(severity, severity)
    assert f"{sum(loss > 1.5 for loss in losses)} of 3 rows above 1.5" in forget.found


def test_a_holdout_of_another_kind_is_told_by_a_model_that_saw_neither() -> None:
    def scores(low: float, high: float, loss: float = 3.0) -> dict[str, Any]:
        return {"forget": {"loss": loss}, "membership": {"loss": {"auc": (low + high) / 2, "interval": [low, high]}}}

    told, alike = scores(0.9, 1.0, loss=0.1), scores(0.4, 0.6)
    assert [one.severity for one in check_holdout(told, alike)] == ["fine", "fine"]
    assert [one.severity for one in check_holdout(told, scores(0.9, 1.0))] == ["fine", "doubtful"]
    assert [one.severity for one in check_holdout(alike, None)] == ["doubtful", "skipped"]


@pytest.mark.parametrize("interval", [[0.4, 0.6], [0.9, 1.0]])
def test_a_base_model_that_knows_the_forget_rows_would_spoil_the_run(interval: list[float]) -> None:
    """Such as the model itself: it cannot say whether forget and holdout rows are alike, and `unlearn` refuses it."""
    own = {"forget": {"loss": 0.1}, "membership": {"loss": {"auc": 0.5, "interval": interval}}}
    found = check_holdout(own, own)[-1]
    assert (found.what, found.severity) == ("holdout of the same kind as forget", "spoils")
    assert found.found == "--base-model has loss 0.100 on the forget rows, the model 0.100: it knows them"


def test_a_holdout_that_the_model_knows_better_than_the_forget_rows_is_not_fine() -> None:
    found = check_holdout({"membership": {"loss": {"auc": 0.05, "interval": [0.0, 0.1]}}}, None)[0]
    assert found.severity == "doubtful"
    assert "knows the holdout rows better" in found.advice


def test_the_table_has_advice_below() -> None:
    findings = [Finding("a", "fine", "none"), Finding("bb", "spoils", "2 rows", "Remove them.")]
    assert findings_table(findings) == "fine      a   none\nspoils    bb  2 rows\n            -> Remove them.\n"
    assert counted(findings, "spoils") == 1


def test_chunks_of_documents_count_as_rows_of_a_step() -> None:
    rows = [Row("", " ".join(["word"] * 200), kind="text", document="a.md", chunk=Chunk(20, 2))]
    template = resolve_template("auto", TOKENIZER, rows)
    count = rows_for_the_model(rows, TOKENIZER, template, max_length=200)
    assert count > 5
    (split,) = check_lengths({"forget": rows}, TOKENIZER, template, max_length=200)
    assert split.found.startswith("1 of 1 row is longer than 20 tokens")
    assert split.found.endswith(f"{count} rows for the model")
