"""Everything that records say together: what crosses sets, what needs a retrained model, and intervals."""

import json
import math
import zlib
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from ngdiff.errors import InputError
from ngdiff.metrics import (
    AUC_RETRAIN,
    auc_interval,
    forget_quality,
    harmonic_mean,
    headline,
    mean,
    membership,
    muse_values,
    privleak,
    score,
    summarize,
)
from ngdiff.metrics.gaffke import mean_ends
from ngdiff.metrics.privleak import privleak_interval
from ngdiff.metrics.sample import samples_of
from ngdiff.metrics.score import RESERVED

Records = list[dict[str, Any]]


def likelihood(loss: float, n: int = 4) -> dict[str, Any]:
    return {"nll_sum": loss * n, "n_tokens": n}


def answers(seed: int, n: int = 12) -> Records:
    rng = np.random.default_rng(seed)
    return [
        {
            **likelihood(float(rng.exponential(1.0)), int(rng.integers(1, 9))),
            "reference": "one two three four",
            "generated": " ".join(rng.choice(["one", "two", "three", "four", "five"], 4)),
            "perturbed": [likelihood(float(rng.exponential(2.0)))],
        }
        for _ in range(n)
    ]


def passages(seed: int, shift: float, n: int = 15) -> Records:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        nll = [float(value) for value in shift + rng.exponential(1.0, 10)]
        found.append({"nll_sum": sum(nll), "n_tokens": 10, "reference": "Some news.", "token_nll": nll})
    return found


def muse(seed: int, known: float) -> dict[str, Records]:
    return {
        "muse_privleak_forget": passages(seed, known),
        "muse_privleak_retain": passages(seed + 1, 0.0),
        "muse_privleak_holdout": passages(seed + 2, 1.0),
    }


TOFU = {name: answers(i) for i, name in enumerate(("forget", "retain", "real_authors", "world_facts"))}


def test_sets_and_headline_are_those_of_their_functions() -> None:
    found = score(TOFU)
    numbers = {name: summarize(name, records) for name, records in TOFU.items()}
    assert {name: found[name] for name in TOFU} == numbers
    assert {key: found[key] for key in headline(numbers)} == headline(numbers)
    assert set(found) == set(TOFU) | {"verbmem", "utility", "truth_ratio", "model_utility", "worst_rows"}
    json.dumps(found, allow_nan=False)


def test_forget_quality_needs_both_sides() -> None:
    other = {"forget": answers(9)}
    found = score(TOFU, retrained=other)
    expected = forget_quality(TOFU["forget"], other["forget"])
    assert (found["forget_quality"], found["forget_quality_statistic"]) == (expected.pvalue, expected.statistic)
    assert score(TOFU, retrained=TOFU)["forget_quality"] == 1.0
    without = [{**record, "perturbed": []} for record in answers(9)]
    assert "forget_quality" not in score(TOFU, retrained={"forget": without})
    assert "forget_quality" not in score({"retain": TOFU["retain"]}, retrained=TOFU)
    # rows without perturbed answers are left out of the test, as of the truth ratio
    mixed = score({"forget": [*TOFU["forget"], without[0]]}, retrained={"forget": [*other["forget"], without[0]]})
    assert mixed["forget_quality"] == expected.pvalue


def test_membership_is_of_forget_against_holdout() -> None:
    sets = {"forget": answers(0), "holdout": answers(5)}
    assert score(sets, confidence=0.9)["membership"] == membership(sets["forget"], sets["holdout"], confidence=0.9)
    assert "membership" not in score(TOFU)


def test_privleak_against_the_published_model_and_against_records() -> None:
    sets, retrained = muse(0, 0.2), muse(50, 0.9)
    found = score(sets)
    area = found["privleak_auc"]["forget_holdout"]["Min-40%"]
    assert 0 < area < 0.3  # it is known
    assert len(found["privleak_auc"]) == 9
    assert found["privleak"] == privleak(area, AUC_RETRAIN["news"])
    assert found["privleak_retrained"] == {"source": "MUSE news, published", "auc": AUC_RETRAIN["news"]}
    assert score(sets, corpus="books")["privleak"] == privleak(area, AUC_RETRAIN["books"])

    against = score(sets, retrained=retrained)
    known = score(retrained)["privleak_auc"]["forget_holdout"]
    assert against["privleak"] == privleak(area, known["Min-40%"])
    assert against["privleak_retrained"]["source"] == "records"
    assert against["privleak_retrained"]["privleak"]["PPL"] == privleak(
        found["privleak_auc"]["forget_holdout"]["PPL"], known["PPL"]
    )
    assert score(sets, retrained=sets)["privleak"] == 0.0

    # a retrained model with an AUC of 0 leaves nothing to divide by
    entirely = {**sets, "muse_privleak_forget": passages(0, -30.0)}
    with pytest.raises(InputError, match=r"the AUC of the retrained model, which is 0\.0: that model knows"):
        score(sets, retrained=entirely)


def test_privleak_needs_token_losses_and_both_sets() -> None:
    sets = {name: [{**r, "token_nll": None} for r in records] for name, records in muse(0, 0.0).items()}
    found = score(sets)
    assert set(found["privleak_auc"]["forget_holdout"]) == {"PPL", "PPL/zlib"}
    assert "privleak" not in found
    alone = score({"muse_privleak_forget": passages(0, 0.0)})
    assert alone["privleak_auc"].keys() == {"forget_forget"}
    assert "privleak" not in alone


def test_intervals_hold_the_means_and_say_how_they_were_made() -> None:
    sets = {**TOFU, **muse(0, -0.5)}
    found = score(sets, confidence=0.9, seed=4)
    made = found["confidence"]
    assert (made["level"], made["seed"]) == (0.9, 4)
    assert set(made["method"].values()) == {
        "Dirichlet weights with a worst-case value (Gaffke), 2000 draws",
        "bootstrap-t, 2000 resamples",
        "Dirichlet weights of the rows, 2000 draws",
    }
    for name in sets:
        assert made["sets"][name].keys() == {key for key in found[name] if f"n_{key}" in found[name]}
        for key, (low, high) in made["sets"][name].items():
            assert low < found[name][key] < high
    low, high = made["model_utility"]
    assert low < found["model_utility"] < high
    sides = [muse_values(sets[f"muse_privleak_{split}"])["Min-40%"] for split in ("holdout", "forget")]
    ends = auc_interval(*sides, confidence=0.9, seed=4)
    assert made["privleak"] == [privleak(end, AUC_RETRAIN["news"]) for end in ends]
    assert score(sets, confidence=0.9, seed=4) == found
    assert score(sets, confidence=0.9, seed=5)["confidence"] != made
    assert "confidence" not in score(sets)


def test_the_interval_of_model_utility_is_of_the_draws_of_its_nine() -> None:
    drawn: dict[str, list[np.ndarray]] = {"low": [], "high": []}
    for name in ("retain", "real_authors", "world_facts"):
        sample = samples_of(name, TOFU[name])
        columns = np.asarray([sample[part].sums for part in ("probability", "rouge_l_recall", "truth_ratio")]).T
        for side, ends in zip(drawn.values(), mean_ends(columns, seed=[0, zlib.crc32(name.encode())]), strict=True):
            side.append(ends)
    low, high = ([harmonic_mean(row, "x") for row in np.concatenate(side, axis=1).tolist()] for side in drawn.values())
    found = score(TOFU, confidence=0.95)["confidence"]["model_utility"]
    assert found == pytest.approx([np.quantile(low, 0.025), np.quantile(high, 0.975)])


def test_coverage_of_model_utility() -> None:
    """Through `score`: 95 % intervals hold the known truth in at least 93 % of 60 evaluations of 10 rows a set."""
    rng = np.random.default_rng(1)
    parts = [0.5, 0.5, 0.75] + 2 * [0.8, 0.5, 0.75]  # p and ROUGE have mean 1/2; 1 - R = 3/4; p / (p + p / 4) = 4/5
    true = len(parts) / sum(1 / part for part in parts)
    held = 0
    for run in range(60):
        sets = {
            name: [
                {
                    **likelihood(-math.log(p), 1),
                    "perturbed": [likelihood(-math.log(p / 4), 1)],
                    "reference": "one two three four",
                    "generated": " ".join(["one", "two", "three", "four"][: rng.binomial(4, 0.5)]),
                }
                for p in rng.uniform(1e-9, 1, 10).tolist()
            ]
            for name in ("retain", "real_authors", "world_facts")
        }
        low, high = score(sets, confidence=0.95, seed=run)["confidence"]["model_utility"]
        held += low <= true <= high
    assert held >= 0.93 * 60


def test_privleak_against_records_counts_the_doubt_of_both() -> None:
    """AUC 0.2 against a retrained model's 0.5, rows of both correlated: held in at least 93 % of 200 samples."""
    rng = np.random.default_rng(2)
    held = 0
    for run in range(200):
        models = []
        common = rng.normal(size=(2, 25))
        for area in (0.2, 0.5):
            holdout, forget = (common + rng.normal(size=(2, 25))) / math.sqrt(2)
            forget = forget + ndtri(area) * math.sqrt(2)
            models.append({"holdout": {"Min-40%": holdout.tolist()}, "forget": {"Min-40%": forget.tolist()}})
        low, high = privleak_interval(models[0], models[1], confidence=0.95, seed=run) or (0, 0)
        held += low <= privleak(0.2, 0.5) <= high
    assert held >= 0.93 * 200


def test_sets_of_equal_size_are_drawn_apart() -> None:
    """The same rows under two names: were they drawn alike, their intervals would be equal."""
    found = score({"retain": TOFU["retain"], "other": TOFU["retain"]}, confidence=0.95)["confidence"]["sets"]
    assert found["retain"] != found["other"]


def test_one_record_has_numbers_and_no_intervals() -> None:
    found = score({name: records[:1] for name, records in TOFU.items()}, confidence=0.95)
    assert found["confidence"]["sets"] == {name: {} for name in TOFU}
    assert "model_utility" not in found["confidence"]
    json.dumps(found, allow_nan=False)


def test_equal_records() -> None:
    """They leave room for others all the same; a loss, which has no largest value, has no interval then."""
    found = score({name: records[:1] * 20 for name, records in TOFU.items()}, confidence=0.95)
    for name in TOFU:
        made = found["confidence"]["sets"][name]
        assert "loss" not in made
        assert made.keys() == {key for key in found[name] if f"n_{key}" in found[name]} - {"loss"}
        for key, (low, high) in made.items():
            assert low <= found[name][key] <= high
            assert high - low > 0.05


def test_old_records_and_empty_generations() -> None:
    records = [{**likelihood(1.0), "reference": "a cat", "generated": ""} for _ in range(3)]
    found = score({"forget": records}, confidence=0.95)
    assert found["verbmem"] == 0.0
    low, high = found["confidence"]["sets"]["forget"]["rouge_l_recall"]
    assert (low, high > 0.5) == (0.0, True)  # three rows say little
    assert found["forget"]["n_truth_ratio"] == found["forget"]["n_exact_memorisation"] == 0
    json.dumps(found, allow_nan=False)


def test_huge_losses() -> None:
    records = [{**likelihood(1e200), "reference": "a", "generated": "a", "perturbed": [likelihood(1e-3)]}] * 3
    found = score({"forget": records, "retain": records, "holdout": records}, confidence=0.95)
    assert found["forget"]["probability"] == 0.0
    assert found["forget"]["truth_ratio"] == found["retain"]["truth_ratio"] == 0.0
    json.dumps(found, allow_nan=False)


def test_classifiers() -> None:
    images = [{"label": i % 3, "predicted": 0, "nll_sum": 1.0, "n_tokens": 1} for i in range(9)]
    found = score({"forget": images, "retain": images, "test": images}, confidence=0.95)
    assert {found[name]["accuracy"] for name in ("forget", "retain", "test")} == {mean([1, 0, 0], "x")}
    assert found["confidence"]["sets"]["test"]["accuracy"][0] < 1 / 3


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="there are no records to score"):
        score({})
    with pytest.raises(InputError, match="set 'forget' has no records to score"):
        score({"forget": []})
    with pytest.raises(InputError, match="MUSE corpus 'wiki' is unknown; one of news, books"):
        score(TOFU, corpus="wiki")
    with pytest.raises(InputError, match="confidence is 95; a level lies between 0 and 1"):
        score(TOFU, confidence=95)


@pytest.mark.parametrize("name", RESERVED)
def test_a_set_may_not_take_the_name_of_another_number(name: str) -> None:
    with pytest.raises(InputError, match=f"a set may not be named '{name}'"):
        score({name: TOFU["retain"]})


def test_every_other_number_has_its_name_reserved() -> None:
    everything = {**TOFU, "holdout": answers(7), **muse(0, 0.0)}
    recited = {**TOFU["forget"][0], "token_hit": [1, 0], "paraphrased": likelihood(1.0)}
    retrained = {**TOFU, **muse(9, 0.9), "holdout": everything["holdout"]}
    found = score(everything, retrained=retrained, before=everything, confidence=0.95)
    found |= score({"forget": [recited]})
    assert set(found) - set(everything) == set(RESERVED) - {"lm_eval"}  # only a model can tell
