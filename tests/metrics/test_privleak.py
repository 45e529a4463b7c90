import pytest

from ngdiff.errors import InputError
from ngdiff.metrics import AUC_RETRAIN, auc, muse_values, pair_aucs, privleak


def passage(loss: float, **more):
    return {"nll_sum": 20 * loss, "n_tokens": 20, "reference": "Some news.", "token_nll": [loss] * 20, **more}


def test_the_second_of_a_pair_has_label_one() -> None:
    """A forget set that is known better than the holdout has an AUC near 0, as in MUSE's logs."""
    known, unseen = [passage(0.1), passage(0.2)], [passage(2.0), passage(0.2)]
    found = pair_aucs({"forget": muse_values(known), "holdout": muse_values(unseen)})
    assert found["forget_holdout"]["Min-40%"] == 0.125  # one tie among four pairs, all else against it
    assert found["holdout_forget"]["Min-40%"] == 0.875
    assert found["forget_forget"]["PPL"] == 0.5
    assert found["forget_holdout"]["Min-40%"] == 1 - auc([0.1, 0.2], [2.0, 0.2])


def test_scores_need_their_fields() -> None:
    assert muse_values([{"nll_sum": 1.0, "n_tokens": 1}]).keys() == {"PPL"}
    assert muse_values([passage(1.0)]).keys() == {
        "PPL", "PPL/zlib", "Min-5%", "Min-10%", "Min-20%", "Min-30%", "Min-40%", "Min-50%", "Min-60%",
    }  # fmt: skip
    whole = passage(1.0, lowercase={"nll_sum": 2.0, "n_tokens": 1}, base_model={"nll_sum": 4.0, "n_tokens": 1})
    assert muse_values([whole])["PPL/lower"] == [0.5]
    assert muse_values([whole])["PPL/ref"] == [0.25]


def test_privleak_of_what_is_known_as_it_should_be_and_too_little() -> None:
    assert privleak(0.0, 0.5) == -100.0
    assert privleak(0.5, 0.5) == 0.0
    assert privleak(1.0, 0.5) == 100.0
    assert privleak(0.0009000000000000008, AUC_RETRAIN["news"]) == pytest.approx(-99.8113998323554, abs=1e-10)
    with pytest.raises(InputError, match=r"divides by the AUC of the retrained model, which is 0\.0"):
        privleak(0.5, 0.0)
