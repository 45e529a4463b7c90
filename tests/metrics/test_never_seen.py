"""D, collateral and the field's aggregates from records, as entries of `metrics.json`."""

import json
import math
from typing import Any

import numpy as np
import pytest

from ngdiff.errors import InputError
from ngdiff.metrics import harmonic_mean, loss, membership, row_values, score
from ngdiff.metrics.aggregates import ATTACKS, memorisation_score, privacy_score
from ngdiff.metrics.collateral import collateral, collateral_interval
from ngdiff.metrics.distance import distance, distance_from_holdout
from ngdiff.metrics.row_statistics import MEASURES

Records = list[dict[str, Any]]
WORDS = ["one", "two", "three", "four", "five", "six"]


def rows(model: int, level: float, n: int, *, side: str) -> Records:
    """Made-up records: each token's loss is about `level`, and more than 1 means that it is no first choice."""
    rng = np.random.default_rng([model, n])
    found = []
    for i in range(n):
        nll = [float(value) for value in level * rng.uniform(0.5, 1.5, 6)]
        hits = [int(value < 1) for value in nll]
        likelihoods = [{"nll_sum": float(level * rng.uniform(2, 4) + extra), "n_tokens": 3} for extra in (0, 2, 4)]
        found.append(
            {
                "set": side,
                "index": i,
                "reference": f"{side} {i} " + " ".join(WORDS),
                "prompt": f"{side}?",
                "generated": f"{side} {i} " + " ".join(w for w, hit in zip(WORDS, hits, strict=True) if hit),
                "nll_sum": sum(nll),
                "n_tokens": 6,
                "token_nll": nll,
                "token_z": [-value for value in nll],
                "token_hit": hits,
                "paraphrased": likelihoods[0],
                "perturbed": likelihoods[1:],
            }
        )
    return found


def model(seed: int, forget: float, holdout: float = 3.0) -> dict[str, Records]:
    return {"forget": rows(seed, forget, 20, side="forget"), "holdout": rows(seed, holdout, 30, side="holdout")}


NOW, BEFORE, RETRAINED = model(1, 5.0, 3.5), model(2, 0.05), model(3, 3.1)


def test_both_distances_are_those_of_the_arrays() -> None:
    found = score(NOW, retrained=RETRAINED, before=BEFORE, confidence=0.9, seed=5)
    values = [row_values(sets) for sets in (NOW, RETRAINED, BEFORE)]
    truth = distance(*values, confidence=0.9, seed=5)
    own = distance_from_holdout(values[0], values[2], confidence=0.9, seed=5)
    for key, expected in (("distance", truth), ("distance_holdout", own)):
        assert found[key]["value"] == expected.value
        assert found["confidence"][key] == list(expected.interval or ())
        assert {name: tuple(part.values()) for name, part in found[key]["parts"].items()} == expected.parts
    assert set(found["distance"]["parts"]) == set(MEASURES)
    assert found["distance_holdout"]["uncorrected"] == list(MEASURES)
    assert found["distance"]["parts"]["loss"]["value"] < 0  # beyond the retrained model
    json.dumps(found, allow_nan=False)
    assert score(BEFORE, retrained=RETRAINED, before=BEFORE)["distance"]["value"] == pytest.approx(1.0)


def test_rows_may_come_in_another_order() -> None:
    turned = {name: list(reversed(records)) for name, records in RETRAINED.items()}
    one, other = (score(NOW, retrained=sets, before=BEFORE)["distance"] for sets in (RETRAINED, turned))
    assert one == other
    fewer = {**RETRAINED, "holdout": RETRAINED["holdout"][1:]}
    with pytest.raises(
        InputError, match=r"by holdout, compares two models on the same rows, .* of 29 of the retrained"
    ):
        score(NOW, retrained=fewer, before=BEFORE)
    with pytest.raises(InputError, match="records of 20 rows of the model and of 19 of the one before"):
        score(NOW, before={"forget": BEFORE["forget"][1:]})


def test_a_base_model_corrects_from_its_records_or_from_theirs() -> None:
    base = model(4, 3.3, 3.0)
    whole = score(NOW, before=BEFORE, base=base)["distance_holdout"]
    assert whole["uncorrected"] == []
    scores = {name: [{key: row[key] for key in ("nll_sum", "n_tokens")} for row in own] for name, own in base.items()}
    likelihoods = {
        name: [{**row, "base_model": other} for row, other in zip(own, scores[name], strict=True)]
        for name, own in NOW.items()
    }
    found = score(likelihoods, before=BEFORE)["distance_holdout"]
    assert set(MEASURES) - set(found["uncorrected"]) == {"loss", "probability", "auc_loss"}
    for name in ("loss", "probability", "auc_loss"):
        assert found["parts"][name] == pytest.approx(whole["parts"][name])


def test_without_the_model_before_there_is_no_distance_but_differences() -> None:
    found = score(NOW, retrained=RETRAINED, confidence=0.95)
    for key in ("distance", "distance_holdout"):
        assert found[key]["value"] is None
        assert key not in found["confidence"]
        assert found[key]["parts"]["loss"]["now"] == pytest.approx(found["forget"]["loss"])
    assert "collateral" not in found
    assert not {"distance", "distance_holdout"} & set(score({"forget": NOW["forget"]}))
    assert "distance" not in score({"forget": NOW["forget"][:1]}, retrained={"forget": RETRAINED["forget"][:1]})


def test_records_of_a_classifier_have_what_they_have() -> None:
    images = {name: [{"label": 1, "predicted": i % 2} for i in range(4)] for name in ("forget", "holdout")}
    found = score(images, retrained=images, before=images, confidence=0.9)
    assert found["distance"]["value"] is None
    assert found["distance"]["parts"] == {}
    assert set(found["distance"]["left_out"]) == set(MEASURES)
    likely = {
        name: [{**row, "nll_sum": 0.5 + i, "n_tokens": 1} for i, row in enumerate(own)] for name, own in images.items()
    }
    parts = score(likely, retrained=likely, before=images)["distance"]
    assert parts["left_out"]["loss"] == "no loss of forget rows of the model before"


def test_collateral_is_the_change_of_loss_on_rows_in_neither_set() -> None:
    found = score(NOW, before=BEFORE, confidence=0.9)
    change = loss(NOW["holdout"]) - loss(BEFORE["holdout"])
    assert found["collateral"] == {"holdout": pytest.approx(change)}
    low, high = found["confidence"]["collateral"]["holdout"]
    assert low < change < high
    assert score({"protect": NOW["holdout"]}, before={"protect": BEFORE["holdout"]})["collateral"] == {
        "protect": change
    }
    assert "collateral" not in score({"forget": NOW["forget"]}, before=BEFORE)


def test_holdout_images_of_the_class_to_forget_are_no_collateral() -> None:
    """Test images of a class are forgotten with its training images; where images of any class are, they are not."""

    def images(loss_of_each: float, labels: list[int]) -> dict[str, Records]:
        row = {"predicted": 0, "nll_sum": loss_of_each, "n_tokens": 1}
        return {"forget": [{**row, "label": 3}] * 2, "holdout": [{**row, "label": label} for label in labels]}

    assert "collateral" not in score(images(2.0, [3, 3]), before=images(0.5, [3, 3]))
    assert score(images(2.0, [3, 4]), before=images(0.5, [3, 4]))["collateral"] == {"holdout": 1.5}


def test_the_interval_of_collateral_pairs_the_rows() -> None:
    """All rows lost half a nat: no doubt about it, however much they differ."""
    before = [{"nll_sum": 4.0 * (1 + i), "n_tokens": 4} for i in range(30)]
    now = [{"nll_sum": row["nll_sum"] + 2.0, "n_tokens": 4} for row in before]
    assert collateral(now, before) == pytest.approx(0.5)
    assert collateral_interval(now, before) == pytest.approx((0.5, 0.5))
    with pytest.raises(InputError, match="the same rows, but there are 30 now and 29 before"):
        collateral_interval(now, before[1:])


def test_aggregates() -> None:
    found = score(NOW, retrained=RETRAINED)
    strength, hits = (found["forget"][key] for key in ("extraction_strength", "exact_memorisation"))
    paraphrase = np.mean([math.exp(-row["paraphrased"]["nll_sum"] / 3) for row in NOW["forget"]])
    right = [row["paraphrased"]["nll_sum"] / 3 for row in NOW["forget"]]
    wrong = [sum(other["nll_sum"] / 3 for other in row["perturbed"]) / 2 for row in NOW["forget"]]
    truth = np.mean([math.exp(-r) / (math.exp(-r) + math.exp(-w)) for r, w in zip(right, wrong, strict=True)])
    expected = 4 / sum(1 / (1 - part) for part in (strength, hits, paraphrase, truth))
    assert found["aggregates"]["memorisation"] == pytest.approx(expected)
    own, other = (membership(sets["forget"], sets["holdout"]) for sets in (NOW, RETRAINED))
    scores = [1 - abs(own[n]["auc"] - other[n]["auc"]) / max(other[n]["auc"], 1 - other[n]["auc"]) for n in ATTACKS]
    assert found["aggregates"]["privacy"] == pytest.approx(harmonic_mean(scores, "privacy"))
    assert found["aggregates"]["utility"] is None
    assert found["aggregates"]["robustness"] is None


def test_what_an_aggregate_lacks_leaves_it_out() -> None:
    without = [{**row, "paraphrased": None} for row in NOW["forget"]]
    assert memorisation_score(without) is None
    assert privacy_score({"loss": {"auc": 0.5}}, {"loss": {"auc": 0.5}}) is None
    assert "aggregates" not in score({"forget": without})
    assert memorisation_score([{"token_hit": [1], "paraphrased": {"nll_sum": 0.0, "n_tokens": 1},
                                "perturbed": [{"nll_sum": 5.0, "n_tokens": 1}]}]) == 0.0  # fmt: skip
