"""The documentation of the metrics leaves none out."""

import re
from pathlib import Path

import pytest

from ngdiff.metrics import METRICS
from ngdiff.metrics.membership import PERCENTAGES, SCORES
from ngdiff.metrics.score import RESERVED

DOCS = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
FENCED = re.compile(r"```python\n(.*?)```", re.DOTALL)
CODE = set(re.findall(r"`([^`]+)`", FENCED.sub("", DOCS)))


def test_every_metric_is_explained() -> None:
    keys = {key for table in METRICS.values() for key in table}
    assert keys <= CODE
    # the numbers of the whole evaluation; the first three are those of single sets under the paper's names
    assert set(RESERVED) - {"verbmem", "utility", "truth_ratio", "confidence", "lm_eval"} <= CODE
    for name in SCORES:
        assert re.sub(r"min-\d+%", "min-k%", name) in CODE
    assert f"k = {PERCENTAGES[0]} ... {PERCENTAGES[-1]}" in DOCS


def test_the_example_of_distance_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = FENCED.findall(DOCS)
    exec(compile(example, "evaluation.md", "exec"), {})
    loss, area = 0.5 / (4.5 - 0.4 / 3), (6.5 - 3.5) / (9 - 3.5)  # pairs won of nine
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx((loss + area) / 2)
