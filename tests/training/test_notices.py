"""What a run says of itself."""

import logging

import pytest

from ngdiff.training.notices import notice_end, notice_start

TEXT = {"unit": "token", "conditions": "model, template and rows"}
IMAGE = {"unit": "image", "conditions": "model, preparation and labels"}


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("words", [TEXT, IMAGE])
def test_a_model_that_does_not_know_the_rows_is_told_in_the_terms_of_its_task(caplog, words):
    notice_start({"forget": 2.0, "retain": 0.1}, None, **words)
    (message,) = said(caplog)
    assert f"2.00 nats per {words['unit']}, 14 % mean probability" in message
    assert f"Are {words['conditions']} those it was trained with?" in message


def test_a_ceiling_that_is_reached_before_the_first_step(caplog):
    notice_start({"forget": 1.0}, 1.0, **TEXT)
    (message,) = said(caplog)
    assert "The forget loss, 1.000, is at the ceiling of 1.000 from the start" in message
    assert "Raise --forget-ceiling" in message


def test_a_higher_ceiling_is_no_advice_for_rows_that_the_model_does_not_know(caplog):
    notice_start({"forget": 6.5}, 6.3, **TEXT)
    ceiling, unknown = said(caplog)
    assert "nothing would be forgotten" in ceiling
    assert "Raise" not in ceiling
    assert "The model hardly knows the forget rows" in unknown


def test_nothing_is_wrong(caplog):
    notice_start({"forget": 0.5}, 8.0, **TEXT)
    notice_end([0.5, 6.0, 5.0], 8.0, 3)
    notice_end([0.5], None, 3)
    notice_end([], 8.0, 0)
    assert said(caplog) == []


def test_a_run_that_ends_long_before_its_ceiling(caplog):
    notice_end([0.5, 2.0, 1.0], 8.0, 3)
    (message,) = said(caplog)
    assert "reached 2.00 of a ceiling of 8.00 in 3 steps" in message
