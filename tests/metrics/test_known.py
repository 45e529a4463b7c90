"""The limit above which rows are hardly known is one for all who ask."""

import pytest

from ngdiff.checking.known import check_known
from ngdiff.metrics.known import UNKNOWN_LOSS
from ngdiff.scoring.reference_notes import hardly_knows
from ngdiff.training.notices import notice_start


@pytest.mark.parametrize(("loss", "known"), [(UNKNOWN_LOSS, True), (UNKNOWN_LOSS + 0.01, False)])
def test_all_use_it(loss, known, caplog) -> None:
    records = [{"nll_sum": 2 * loss, "n_tokens": 2}]
    found = check_known(
        {name: {"loss": loss} for name in ("forget", "retain")}, dict.fromkeys(("forget", "retain"), records)
    )
    assert (found[0].severity == "fine") is known
    assert hardly_knows(loss, [0.1]) is not known
    notice_start({"forget": loss}, None, unit="token", conditions="rows")
    assert ("hardly knows" in caplog.text) is not known
