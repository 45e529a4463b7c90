"""What the steps of a run say, gathered for the next log line."""

import logging

import pytest

from ngdiff.training.step import StepReport
from ngdiff.training.step_log import StepLog


def report(number: int = 1, idle: str = "", **figures: float) -> StepReport:
    return StepReport(number, figures, combined_norm=1.0, idle=idle, asked_to_stop=0.0)


def test_a_line_has_the_means_of_its_steps_and_the_last_rate():
    log = StepLog()
    for number, (loss, rate) in enumerate([(1.0, 0.1), (4.0, 0.3)], start=1):
        log.take(report(number, loss_retain=loss))
        log.add({"learning_rate": rate})
    log.add({"autolr/accepted": 1.0})  # a figure that only some steps have: its mean over those
    line = {"loss": 2.0, "learning_rate": 7.0}
    log.merge_into(line)
    assert line == {"loss": 2.0, "learning_rate": 0.3, "loss_retain": 2.5, "autolr/accepted": 1.0}
    assert list(line) == ["loss", "learning_rate", "loss_retain", "autolr/accepted"]
    log.merge_into(again := {"loss": 2.0})
    assert again == {"loss": 2.0}


def test_a_resumed_run_goes_on_with_what_waited():
    log, resumed = StepLog(), StepLog()
    log.take(report(loss_retain=1.0))
    resumed.resume(log.waiting)
    resumed.take(report(2, loss_retain=3.0))
    resumed.merge_into(line := {})
    assert line == {"loss_retain": 2.0}
    assert log.waiting == [{"loss_retain": 1.0}]


def test_figures_of_a_report_stay_as_they_are():
    given = report(loss_retain=1.0)
    log = StepLog()
    log.take(given)
    log.add({"learning_rate": 0.1})
    assert log.last is given
    assert given.figures == {"loss_retain": 1.0}


@pytest.mark.parametrize(
    ("idle", "told"), [("aa", [1]), ("a-a", [1, 3]), ("--", []), ("-aaa", [2])]
)  # of each step: whether it moved nothing
def test_the_first_of_several_idle_steps_is_told(caplog, idle, told):
    log = StepLog()
    with caplog.at_level(logging.WARNING):
        for number, one in enumerate(idle, start=1):
            log.take(report(number, idle="" if one == "-" else "both gradients are 0"))
    expected = [f"Step {number}: the weights do not change: both gradients are 0." for number in told]
    assert [record.getMessage() for record in caplog.records] == expected
