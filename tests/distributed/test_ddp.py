"""Two processes and one with the double batch walk the same way, and see the same rows."""

import pytest

from .cases import CASES, INTERRUPTED
from .conftest import resumed, spread
from .launch import assert_same_figures, beyond_rounding, distance, launch, moved
from .worker import model


def tolerance(case, value: float, result) -> float:
    return value * moved(result, dict(model().named_parameters())) if case.relative else value


@pytest.mark.parametrize("name", CASES)
def test_two_processes_equal_one_with_the_double_batch(one, two, name):
    case = CASES[name]
    assert_same_figures(one[name], two[name])
    assert beyond_rounding(one[name], two[name]) <= tolerance(case, case.ddp, one[name])


@pytest.mark.parametrize("name", ["sgd", "npo"])
def test_an_evaluated_loss_is_the_mean_over_the_tokens_of_all_processes(one, two, name):
    assert two[name]["evaluated"] == pytest.approx(one[name]["evaluated"], rel=1e-6)


def rows_by_epoch(result, rank: int, side: str, steps: int) -> list[list[int]]:
    """Rows that a process saw, by epoch."""
    epochs: list[list[int]] = [[], []]
    for step, which, row in result["seen"][rank]:
        if which == side and row >= 0:
            epochs[step // steps].append(row)
    return epochs


def test_every_row_once_an_epoch_and_no_row_on_two_processes(two):
    forget = [rows_by_epoch(two["sgd"], rank, "forget", 3) for rank in (0, 1)]
    retain = [rows_by_epoch(two["sgd"], rank, "retain", 3) for rank in (0, 1)]
    for epoch in (0, 1):
        assert sorted(forget[0][epoch] + forget[1][epoch]) == list(range(10))
        both = retain[0][epoch] + retain[1][epoch]
        assert len(both) == 12  # three whole steps
        assert len(set(both)) == 12
    # 24 of 30 retain rows: the stream has not come round.
    assert len({row for rank in retain for epoch in rank for row in epoch}) == 24
    assert forget[0][0] != forget[0][1]  # another order in each epoch


@pytest.mark.parametrize("name", ["sgd", "sgd in two micro-batches"])
def test_a_step_has_the_rows_that_it_has_in_one_process(one, two, name):
    def steps(result):
        return sorted(entry for rank in result["seen"] for entry in rank if entry[2] >= 0)

    assert steps(one[name]) == steps(two[name])


def test_two_processes_resume_bit_for_bit(two):
    assert two["began in two"]["logs"] == two["interrupted"]["logs"]
    assert distance(two["began in two"], two["interrupted"]) == 0.0


def test_two_processes_resume_with_the_state_of_a_weighting(two):
    prices = [row["weight_retain"] for row in two["pdu"]["logs"]]
    assert len(set(prices)) == len(prices) == 6
    assert two["pdu, resumed"]["logs"] == two["pdu"]["logs"]
    assert distance(two["pdu, resumed"], two["pdu"]) == 0.0


def test_one_process_goes_on_where_two_began(folder, one, two):
    ended = launch(folder / "one again", 1, {"resumed": spread(1, resumed(folder / "two"))})["resumed"]
    check_resumed(ended, one)


def test_two_processes_go_on_where_one_began(one, two):
    check_resumed(two["began in one"], one)


def check_resumed(ended, one):
    """As the run that was never interrupted, in the steps after the fourth, too."""
    whole = one["interrupted"]
    assert_same_figures(ended, whole)
    start = dict(model().named_parameters())
    assert distance(ended, whole) <= 1e-3 * moved(whole, start)
    assert INTERRUPTED["learning_rate"] == "auto"  # the rate that was found went on as well
