"""The documentation of the metrics leaves none out."""

import re
from pathlib import Path

from ngdiff.metrics import METRICS
from ngdiff.metrics.membership import PERCENTAGES, SCORES
from ngdiff.metrics.score import RESERVED

DOCS = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`]+)`", DOCS))


def test_every_metric_is_explained() -> None:
    keys = {key for table in METRICS.values() for key in table}
    assert keys <= CODE
    # the numbers of the whole evaluation; the first three are those of single sets under the paper's names
    assert set(RESERVED) - {"verbmem", "utility", "truth_ratio", "confidence", "lm_eval"} <= CODE
    for name in SCORES:
        assert re.sub(r"min-\d+%", "min-k%", name) in CODE
    assert f"k = {PERCENTAGES[0]} ... {PERCENTAGES[-1]}" in DOCS
