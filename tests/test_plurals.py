"""One thing is no things."""

import logging

import pytest

from ngdiff.plurals import number_of
from ngdiff.report.method_words import finetuning_in_words, method_in_words
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
