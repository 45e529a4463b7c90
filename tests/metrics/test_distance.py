"""D by hand, against loops over rows, and what must hold of it whatever the rows."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics.distance import RowValues, distance, distance_from_holdout
from ngdiff.metrics.row_statistics import AREAS, MEANS, MEASURES

Side = dict[str, list[float]]


def model(seed: int, *, seen: float, n: int = 12, m: int = 15, level: float = 4.0) -> RowValues:
    """A model of made-up rows: `seen` 1 recites the forget rows, 0 never saw them. Holdout rows are never seen."""
    rng = np.random.default_rng(seed)

    def side(size: int, seen: float) -> Side:
        loss = (1 - seen) * level * rng.uniform(0.7, 1.3, size) + 0.01
        fraction = seen + (1 - seen) * 0.2
        return {
            "loss": loss.tolist(),
            "n_tokens": rng.integers(3, 9, size).astype(float).tolist(),
            "probability": np.exp(-loss).tolist(),
            "min-20%": (1.5 * loss + rng.uniform(0, 0.3, size)).tolist(),
            "verbmem": (fraction * rng.uniform(0.9, 1.0, size)).tolist(),
            "extraction_strength": (fraction * rng.uniform(0.8, 1.0, size)).tolist(),
            "exact_memorisation": (fraction * rng.uniform(0.9, 1.0, size)).tolist(),
            "truth_ratio": (0.5 + (1 - seen) * 0.3 * rng.uniform(0.5, 1.0, size)).tolist(),
        }

    return RowValues(side(n, seen), side(m, 0.0))


BEFORE, RETRAINED = model(0, seen=1.0), model(1, seen=0.0)


def mean(side: Mapping[str, Sequence[float]], name: str) -> float:
    counts = side.get("n_tokens") if name == "loss" else None
    return float(np.average(side[name], weights=counts))


def area(own: RowValues, value: str) -> float:
    forget, holdout = list(np.asarray(own.forget[value])), list(np.asarray(own.holdout[value]))
    return sum((f < h) + (f == h) / 2 for f in forget for h in holdout) / (len(forget) * len(holdout))


def test_by_hand() -> None:
    """Loss: from 0 towards 8, now at 10, a quarter too far; Verbmem: from 1 towards .2, now at .6, half of the way."""
    before = RowValues({"loss": [0.0, 0.0, 0.0], "verbmem": [1.0, 1.0, 1.0]})
    retrained = RowValues({"loss": [7.0, 8.0, 9.0], "verbmem": [0.1, 0.2, 0.3]})
    now = RowValues({"loss": [10.0, 9.0, 11.0], "verbmem": [0.5, 0.6, 0.7]})
    found = distance(now, retrained, before)
    assert found.value == pytest.approx((0.25 + 0.5) / 2)
    assert found.parts["loss"] == pytest.approx((10.0, 8.0, 0.0, -0.25))
    assert found.parts["verbmem"] == pytest.approx((0.6, 0.2, 1.0, 0.5))
    assert set(found.left_out) == set(MEASURES) - {"loss", "verbmem"}


def test_by_hand_from_holdout() -> None:
    """The base model finds the forget rows .1 harder than the holdout rows, in ROUGE, and .5 nats in loss."""
    now = RowValues({"loss": [3.0, 4.0], "verbmem": [0.2, 0.4]}, {"loss": [2.0, 4.0], "verbmem": [0.4, 0.4]})
    before = RowValues({"loss": [0.0, 0.0], "verbmem": [1.0, 1.0]}, {"loss": [2.0, 3.0], "verbmem": [0.3, 0.3]})
    base = RowValues({"loss": [3.0, 3.0], "verbmem": [0.2, 0.2]}, {"loss": [2.0, 3.0], "verbmem": [0.3, 0.3]})
    found = distance_from_holdout(now, before, base)
    assert found.parts["loss"] == pytest.approx((3.5, 3.5, 0.0, 0.0))  # 3.0 + 3.0 - 2.5
    assert found.parts["verbmem"] == pytest.approx((0.3, 0.3, 1.0, 0.0))
    # 3 and 4 against 2 and 4: half a pair of four; the base model's 3 and 3 against 2 and 3: two halves
    assert found.parts["auc_loss"] == pytest.approx((0.375, 0.25, 1.0, 0.125 / 0.75))
    assert found.value == pytest.approx(0.125 / 0.75 / 3)
    assert found.uncorrected == ()
    plain = distance_from_holdout(now, before)
    assert plain.parts["loss"] == pytest.approx((3.5, 3.0, 0.0, -0.2))
    assert plain.parts["auc_loss"] == pytest.approx((0.375, 0.5, 1.0, -0.25))
    assert set(plain.uncorrected) == {"loss", "verbmem", "auc_loss"}


@pytest.mark.parametrize("seen", [0.6, 0.0, -0.3])
def test_equals_loops_over_rows(seen: float) -> None:
    now = model(2, seen=seen)
    found, own = distance(now, RETRAINED, BEFORE), distance_from_holdout(now, BEFORE)
    terms, own_terms = [], []
    for name in MEANS:
        v, r, b = (mean(one.forget, name) for one in (now, RETRAINED, BEFORE))  # type: ignore[arg-type]
        terms.append(abs(v - r) / abs(b - r))
        h, bh = (mean(one.holdout, name) for one in (now, BEFORE))  # type: ignore[arg-type]
        own_terms.append(abs(v - h) / abs(b - bh))
    for value in AREAS.values():
        v, r, b = (area(one, value) for one in (now, RETRAINED, BEFORE))
        terms.append(abs(v - r) / abs(b - r))
        own_terms.append(abs(v - 0.5) / abs(b - 0.5))
    assert found.value == pytest.approx(sum(terms) / 8)
    assert own.value == pytest.approx(sum(own_terms) / 8)
    assert not found.left_out
    assert not own.left_out


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_the_model_before_is_at_1_and_the_reference_at_0(seed: int) -> None:
    before, retrained = model(seed, seen=0.9), model(seed + 1, seen=0.0)
    for found in (distance(before, retrained, before, draws=50), distance_from_holdout(before, before, draws=50)):
        assert found.value == pytest.approx(1.0)
        assert found.noise == pytest.approx(0.0, abs=1e-9)
    same = distance(retrained, retrained, before, draws=50)
    assert same.value == 0.0
    assert same.noise == pytest.approx(0.0, abs=1e-12)


def test_too_far_counts_as_not_far_enough_and_units_of_a_measure_do_not_matter() -> None:
    """As far beyond the reference as before it; nats or bits."""

    def loss(values: Sequence[float], unit: float = 1.0) -> RowValues:
        return RowValues({"loss": [unit * value for value in values]})

    before, retrained = [0.0, 0.1, 0.2], [4.0, 4.1, 4.2]
    short, far = [3.0, 3.1, 3.2], [5.0, 5.1, 5.2]
    found = [distance(loss(one), loss(retrained), loss(before)) for one in (short, far)]
    assert found[0].value == pytest.approx(0.25)
    assert found[1].value == pytest.approx(0.25)
    assert [one.parts["loss"].value for one in found] == pytest.approx([0.25, -0.25])
    bits = distance(*(loss(one, 1 / math.log(2)) for one in (short, retrained, before)))
    assert bits.value == pytest.approx(found[0].value)
    assert bits.noise == pytest.approx(found[0].noise)


def test_rows_that_lack_a_value_are_left_out_in_all_models() -> None:
    nan = math.nan
    before = RowValues({"verbmem": [1.0, 1.0, nan, 1.0]})
    retrained = RowValues({"verbmem": [0.2, 0.2, 0.9, 0.2]})
    now = RowValues({"verbmem": [0.6, 0.6, 0.0, nan]})
    found = distance(now, retrained, before)
    assert found.parts["verbmem"] == pytest.approx((0.6, 0.2, 1.0, 0.5))
    few = distance(RowValues({"verbmem": [0.6, nan, 0.5, nan]}), retrained, before)
    assert few.value is None
    assert few.left_out["verbmem"] == "fewer than two forget rows have verbmem in all models"


def test_without_the_model_before_there_are_differences_only() -> None:
    found = distance(model(2, seen=0.3), RETRAINED)
    assert found.value is None
    assert found.interval is None
    assert set(found.parts) == set(found.left_out) == set(MEASURES)
    assert {part.value for part in found.parts.values()} == {None}
    assert found.left_out["loss"] == "no unit: no records of the model before"


def test_what_before_and_reference_share_is_left_out() -> None:
    rng = np.random.default_rng(0)
    forget = {"loss": rng.uniform(3, 5, 20), "verbmem": rng.uniform(0, 1, 20)}
    before = RowValues({"loss": np.zeros(20), "verbmem": rng.uniform(0, 1, 20)})
    found = distance(RowValues(forget), RowValues({"loss": forget["loss"], "verbmem": rng.uniform(0, 1, 20)}), before)
    assert found.left_out["verbmem"] == "the model before and rows never seen cannot be told apart"
    assert found.parts["verbmem"].value is None
    assert found.value == 0.0  # of the loss alone


def test_draws_share_their_weights_between_models_and_measures() -> None:
    """The noise, by a loop over draws of its own."""
    now = model(2, seen=0.1)
    found = distance(now, RETRAINED, BEFORE, seed=3, draws=40, confidence=0.8)
    rng = np.random.default_rng(3)
    w = rng.standard_exponential((40, 12))
    v = rng.standard_exponential((40, 15))
    errors = []
    for weights, others in zip(w / w.sum(axis=1)[:, None], v / v.sum(axis=1)[:, None], strict=True):
        total = 0.0
        for name, value in MEASURES.items():
            of = []
            for one in (now, RETRAINED, BEFORE):
                own, held = np.asarray(one.forget[value]), np.asarray(one.holdout[value])
                if name in AREAS:
                    of.append(weights @ ((own[:, None] < held) + (own[:, None] == held) / 2) @ others)
                else:
                    tokens = np.asarray(one.forget["n_tokens"]) if name == "loss" else np.ones(12)
                    of.append((weights * tokens) @ own / (weights * tokens).sum())
            part = found.parts[name].value
            assert part is not None
            total += abs((of[0] - of[1]) / (of[2] - of[1]) - part) / 8
        errors.append(total)
    assert found.noise == pytest.approx(np.quantile(errors, 0.8, method="higher"))
    assert found.interval == pytest.approx((max(0.0, found.value - found.noise), found.value + found.noise))  # type: ignore[operator]


def test_the_interval_holds_the_truth_also_at_0() -> None:
    """Models that differ by chance alone: a true D of (nearly) 0, which draws of a mean of magnitudes never reach."""
    held = 0
    for run in range(60):
        before, retrained, now = (model(3 * run + i, seen=1.0 * (i == 0), n=40, m=60) for i in range(3))
        low = distance(now, retrained, before, seed=run, draws=200).interval
        own = distance_from_holdout(now, before, seed=run, draws=200).interval
        assert low is not None
        assert own is not None
        held += (low[0] <= 0.005) + (own[0] <= 0.005)
    assert held / 120 >= 0.9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            RowValues({"loss": [1.0, 2.0, 3.0]}),
            r"same forget rows, but the numbers of values are 3 \(loss of the model\), 12",
        ),
        (
            RowValues({"rouge": [1.0] * 12}),
            "forget rows of the model: values named 'rouge' are unknown; use verb",
        ),
        (
            RowValues({"loss": [1.0] * 11 + [math.inf]}),
            "rows of the model: loss of row 11 is inf, which no model gives",
        ),
        (RowValues({"loss": np.ones((12, 1))}), "loss has 2 dimensions; it must be one number for each row"),
        (RowValues({"loss": [1.0] * 12, "n_tokens": [1.0] * 11 + [0.0]}), "n_tokens of row 11 is not 1 or more"),
    ],
)
def test_values_that_cannot_be_used(values: RowValues, message: str) -> None:
    with pytest.raises(InputError, match=message):
        distance(values, RETRAINED, BEFORE)


def test_one_row_is_none() -> None:
    one = RowValues({"loss": [1.0]})
    with pytest.raises(InputError, match="a distance needs at least two forget rows, found 1"):
        distance(one, one, one)
    with pytest.raises(InputError, match="a level lies between 0 and 1"):
        distance(RETRAINED, RETRAINED, BEFORE, confidence=1.0)
