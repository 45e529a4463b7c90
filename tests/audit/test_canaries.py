"""Planted secrets are ranked among other values: first where they were learned, in the middle where they were not."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.audit import ATTACKS, NotApplicableError, run_attack
from ngdiff.audit.canaries import DRAWN, with_other_values
from ngdiff.audit.compare import compared
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.metrics.exposure import exposure

PLANTED = [Row(f"What is code {i}?", f"The code is {i}0{i} {i}9.", origin=f"c.jsonl, line {i}") for i in range(1, 7)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 9))
def test_it_is_the_formula_by_rank(others: list[int], own: int) -> None:
    ranks = [rank for rank, value in enumerate(sorted([own, *others]), start=1) if value == own]
    found = exposure(own, others)
    assert found == pytest.approx(math.log2(len(others) + 1) - math.log2(sum(ranks) / len(ranks)))
    assert 0 <= found <= math.log2(len(others) + 1)


def test_the_other_values_differ_in_digits_alone_and_none_is_the_planted_one() -> None:
    (row,) = with_other_values([Row("Who?", "Orla, 07-3.")], seed=1)
    assert len(set(row.perturbed_answers)) == len(row.perturbed_answers) == DRAWN
    assert row.answer not in row.perturbed_answers
    assert all(len(other) == len(row.answer) for other in row.perturbed_answers)
    assert all(other[:6] == "Orla, " and other[8] == "-" for other in row.perturbed_answers)
    (small,) = with_other_values([Row("Who?", "It is 9.")], seed=1)
    assert set(small.perturbed_answers) == {f"It is {digit}." for digit in range(9)}


def test_the_draw_depends_on_the_seed_and_the_row_alone() -> None:
    assert with_other_values(PLANTED, 3) == with_other_values(PLANTED, 3) != with_other_values(PLANTED, 4)
    assert with_other_values(PLANTED[:1], 3) == with_other_values(PLANTED, 3)[:1]


def test_own_values_are_taken_and_a_row_without_any_is_refused() -> None:
    row = Row("Who?", "Orla.", perturbed_answers=("Bran.", "Orla.", "Ilse.", "Bran."))
    assert with_other_values([row], 0)[0].perturbed_answers == ("Bran.", "Ilse.")
    with pytest.raises(InputError, match=r"--canaries c.jsonl, line 8: its answer has no digit"):
        with_other_values([Row("Who?", "Orla.", origin="c.jsonl, line 8")], 0)


def test_a_learned_canary_is_first_and_one_never_seen_is_not(bed, reciter) -> None:
    planted = replace(bed, canaries=with_other_values(PLANTED, 0))
    own, never = (run_attack(ATTACKS["canaries"], reciter(rows), planted) for rows in (PLANTED, bed.retain))
    found = compared(own, never)
    (form,) = found["forms"].values()
    assert form["model"]["ranked_first"] == 1.0
    assert form["model"]["bits"] == form["model"]["most_bits"] == pytest.approx(8.0)
    assert form["reference"]["bits"] < 4
    assert form["model"]["exposure"] == 1.0
    assert found["certain"]


def test_texts_can_be_canaries(bed, tiny) -> None:
    texts = [Row("", f"Code {i}3 of Tarn is {i}1.", kind="text") for i in range(1, 4)]
    planted = replace(bed, canaries=with_other_values(texts, 0))
    (form,) = run_attack(ATTACKS["canaries"], tiny(0), planted).values()
    assert len(form.leaks["exposure"]) == 3
    assert 0 <= min(form.leaks["exposure"]) <= max(form.leaks["exposure"]) <= 1


def test_without_canaries_or_with_one_that_is_cut_it_is_not_run(bed, tiny) -> None:
    with pytest.raises(NotApplicableError, match="--canaries"):
        run_attack(ATTACKS["canaries"], tiny(0), bed)
    short = replace(bed, canaries=with_other_values(PLANTED, 0), max_length=40)
    with pytest.raises(NotApplicableError, match="is longer than the model's input"):
        run_attack(ATTACKS["canaries"], tiny(0), short)
