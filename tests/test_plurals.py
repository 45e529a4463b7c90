"""One thing is no things."""

import logging

import pytest

from ngdiff.checking.near import NearDuplicates
from ngdiff.checking.rows import check_lengths
from ngdiff.cli.own_answers import warning_of
from ngdiff.data import Template, check_overlap, read_rows
from ngdiff.data.overlap import check_encoded_overlap
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.plurals import number_of
from ngdiff.report.findings import findings
from ngdiff.report.measured import measured
from ngdiff.report.method_words import finetuning_in_words, method_in_words
from ngdiff.report.worst_rows import worst_rows
from ngdiff.training.notices import notice_end


@pytest.mark.parametrize(
    ("count", "thing", "text"),
    [(1, "class", "1 class"), (2, "class", "2 classes"), (0, "file", "0 files"), (1.0, "pass", "1 pass")],
)
def test_number_of(count, thing, text):
    assert number_of(count, thing) == text


def test_a_run_of_one_step_in_words():
    said = method_in_words({"num_train_epochs": 1.0}, {"steps": 1, "rows_per_step": 1, "undone": [3]})
    assert "1 pass over the rows to forget." in said
    assert "1 row of each set in a step." in said
    assert "1 step was taken." in said
    assert "One of them was undone, as the model diverged, and the learning rate was lowered." in said
    assert "1 step at most." in finetuning_in_words({"max_steps": 1}, {})


def test_a_run_of_one_step_that_was_too_short(caplog):
    with caplog.at_level(logging.WARNING):
        notice_end([0.5], 8.0, 1)
    assert "of a ceiling of 8.00 in 1 step. More" in caplog.text


ONE = [{"question": "Who wrote it?", "answer": "Orla Vennick did."}]


def test_the_only_row_of_a_set_is_in_another():
    rows = read_rows(ONE)
    with pytest.raises(InputError, match="--drop-overlap: the only row of --retain is also in --forget; none is left"):
        check_overlap(rows, rows, drop=True)
    with pytest.raises(InputError, match=r"1 of 1 row of --retain is also in --forget, at .*; remove it from one of"):
        check_overlap(rows, rows, drop=False)
    encoded = [{"input_ids": [1, 2]}]
    with pytest.raises(InputError, match="1 of 1 encoded row of --retain is also in --forget, rows 0 and 0"):
        check_encoded_overlap(encoded, encoded)


def test_one_row_of_findings():
    tokenizer, template = train_tokenizer(["Orla Vennick lives in Tarnholm."], vocab_size=300), Template("plain")
    (found,) = check_lengths({"forget": read_rows(ONE)}, tokenizer, template, max_length=100)
    assert found.found.startswith("1 row, the longest has ")
    text = read_rows([{"text": "Orla Vennick lives in Tarnholm, by the river. " * 9}])
    (found,) = check_lengths({"forget": text}, tokenizer, template, max_length=50)
    assert found.found.startswith("1 of 1 row is longer than 50 tokens, first --forget, row 1; it is split: ")
    near = NearDuplicates({"forget": read_rows(ONE), "retain": read_rows(ONE)}).between()
    assert near[0].found.startswith("1 of 1 retain row, 1 of them with the same words")


def test_one_row_on_the_page_of_a_request():
    own = {"n": 1, "rouge_l_recall": 0.25, "rouge_l_recall_above_half": 0, "n_rouge_l_recall": 1}
    metrics = {"forget": own, "worst_rows": {"forget": {"rouge_l_recall": [{"index": 0, "value": 0.25}]}}}
    said = findings({"before": metrics, "after": metrics})[0]
    assert (
        said == "Asked about the 1 row to be forgotten, the model says 25 % of the words of its answer (before: 25 %)."
    )
    assert worst_rows(metrics)[0].counted == "0 of 1 row is above 0.5"
    assert [group.title for group in measured({"after": metrics}).groups] == ["forget (1 row)"]
    assert [group.title for group in measured({"after": {"forget": {**own, "n": 2}}}).groups] == ["forget (2 rows)"]


def test_one_answer_to_retain():
    assert warning_of(1).startswith("The retain set is 1 answer of the model itself")
