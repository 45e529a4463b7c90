"""`ngdiff methods`."""

import pytest

from ngdiff.cli import main
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.training.methods import METHODS
from ngdiff.training.optimizers import OPTIMIZERS
from ngdiff.training.presets import PRESETS
from ngdiff.weighting import WEIGHTINGS


@pytest.mark.parametrize("words", [["methods"], ["methods", "--help"]])
def test_every_name_has_a_line_with_formula_and_source(capsys, words):
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    tables = (METHODS, PRESETS, WEIGHTINGS, FORGET_OBJECTIVES, RETAIN_OBJECTIVES, OPTIMIZERS)
    for name, row in (item for table in tables for item in table.items()):
        source = row.package if name in OPTIMIZERS else row.source
        found = [line for line in lines if line.startswith(f"  {name} ")]
        assert any(row.formula in line and source in line for line in found), name


def test_it_takes_no_options(capsys):
    assert main(["methods", "--all"]) == 2
    assert "--all is no option of ngdiff methods" in capsys.readouterr().err
