"""The commands as functions: arguments as on the command line."""

from pathlib import Path

import pytest

import ngdiff
from ngdiff.errors import InputError

from .report.made import make_evaluation


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    return {name: make_evaluation(tmp_path / name, recall=recall) for name, recall in (("after", 0.5), ("kept", 0.25))}


def test_numbers_and_references_of_a_comparison_are_one_text_or_several(runs: dict[str, Path]) -> None:
    several = ngdiff.compare(runs, metrics=["forget.loss", "utility"], reference=["kept"])
    assert list(several.values()["after"]) == ["forget.loss", "retain.rouge_l_recall"]
    one = ngdiff.compare(runs, metrics="forget.loss, utility", reference="kept")
    assert one.to("csv") == several.to("csv")
    assert "→" in one.to("text")
    assert ngdiff.compare(runs, metrics="all").values()["after"].keys() > several.values()["after"].keys()
    with pytest.raises(InputError, match="the reference 'keep' is not among the runs"):
        ngdiff.compare(runs, reference="keep")
    assert list(ngdiff.compare(runs, metrics="forget.loss,").values()["after"]) == ["forget.loss"]
