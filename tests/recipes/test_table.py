"""Our numbers beside the paper's."""

import dataclasses
import json
from pathlib import Path

import pytest

from ngdiff.recipes.ran import Group
from ngdiff.recipes.recipe import read_recipe
from ngdiff.recipes.table import FORMATS, paper_table

from .runs import made_group, made_run

METHODS = ("GDiff-0.9", "NGDiff+AutoLR", "NGDiff-default")
RECIPE = dataclasses.replace(read_recipe("table1"), variants=METHODS, notes=("as printed",))


def test_the_difference_is_ours_minus_the_papers(tmp_path: Path) -> None:
    table = paper_table(RECIPE, [made_group(tmp_path, *METHODS)], ["tiny"])
    assert [row.variant for row in table.rows] == ["before", "retrained", *METHODS]
    verbmem, utility, _ = table.rows[2].cells
    assert (verbmem.ours, verbmem.paper, verbmem.difference) == (0.5, 0.805, pytest.approx(-0.305))
    assert utility.difference == pytest.approx(0.75 - 0.992)
    before, ours = table.rows[0].cells[0], table.rows[4].cells[0]
    assert before.paper is None
    assert ours.difference is None  # not in the paper
    assert table.notes == ["as printed", "tiny"]


def test_seeds_have_a_mean_and_an_interval(tmp_path: Path) -> None:
    table = paper_table(RECIPE, [made_group(tmp_path, *METHODS, seeds=2)])
    cell = table.rows[2].cells[0]
    assert (cell.ours, table.rows[2].seeds) == (0.625, 2)
    assert cell.half == pytest.approx(12.7062 * 0.125, rel=1e-4)  # t of one degree of freedom
    assert "0.625 ± 1.588" in FORMATS["txt"](table)


def test_a_failed_run_has_no_numbers_and_is_named(tmp_path: Path) -> None:
    failed = made_run(tmp_path, "GDiff-0.9", 0.0, fault="no numbers: unlearn failed with exit code 1")
    table = paper_table(RECIPE, [Group("tofu", "tiny", "Phi-1.5", [failed])])
    assert table.rows[2].seeds == 0
    assert table.rows[2].cells[0].ours is None
    assert table.notes[-1] == "tiny, tofu, GDiff-0.9: no numbers: unlearn failed with exit code 1"


def test_all_forms(tmp_path: Path) -> None:
    groups = [made_group(tmp_path / name, *METHODS, model=name) for name in ("a_b", "c")]
    table = paper_table(RECIPE, groups)
    text, markdown, latex = (FORMATS[form](table) for form in ("txt", "md", "tex"))
    assert "a_b, tofu: GDiff-0.9           1    0.500  0.805      -0.305" in text
    assert "| a\\_b, tofu: GDiff-0.9 | 1 | 0.500 | 0.805 | -0.305 |" in markdown
    assert "a\\_b, tofu: GDiff-0.9 & 1 & 0.500 & 0.805 & -0.305 &" in latex
    saved = json.loads(FORMATS["json"](table))
    assert saved["source"] == "arXiv 2410.22086"
    row = saved["rows"][2]
    assert (row["model"], row["paper_model"], row["method"]) == ("a_b", "Phi-1.5", "GDiff-0.9")
    assert row["numbers"]["Utility"]["paper"] == 0.992


def test_each_data_set_has_the_papers_numbers_of_its_own(tmp_path: Path) -> None:
    recipe = read_recipe("table4")
    groups = [Group(data, "resnet20-cifar", "ResNet-50", []) for data in recipe.data]
    table = paper_table(recipe, groups)
    known = {row.data: [cell.paper for cell in row.cells] for row in table.rows if row.variant == "NGDiff+AutoLR"}
    assert known == {"cifar10": [0.0, 0.931], "cifar100": [0.0, 0.701]}
