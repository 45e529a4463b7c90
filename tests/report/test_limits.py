"""What a page does not prove, from what was measured."""

from pathlib import Path
from typing import Any

from ngdiff.report.folders import Run
from ngdiff.report.limits import limits

RUN = Run(Path(), {}, {"extra": {}})


def test_the_attack_that_tells_forgotten_rows_best_is_named() -> None:
    areas = {"loss": 0.6, "min-20%": 0.55, "min-20%++": 0.1, "min-5%": 1.0}  # min-5% is not in the page's table
    after: dict[str, Any] = {
        "holdout": {"n": 16, "loss": 3.0},
        "membership": {name: {"auc": area} for name, area in areas.items()},
    }
    (said,) = (one for one in limits({"after": after}, RUN) if "AUC" in one)
    assert said.startswith(
        "Forgotten rows are told from rows never seen with an AUC of 0.100, by min-20%++, the best of 3 attacks."
    )


def test_images_are_classified_and_no_text() -> None:
    said = " ".join(limits({"after": {"forget": {"n": 3, "accuracy": 0.0}}}, RUN))
    assert "Each image was classified as it is." in said
    assert "how a model would classify the images without having seen them is not known" in said
    for word in ("answer", "template", "text", "ngdiff audit", "rows were"):
        assert word not in said
    assert "answered greedily" in " ".join(limits({"after": {"forget": {"n": 3, "verbmem": 0.0}}}, RUN))
