"""The figures of recipes."""

import json
import math
from pathlib import Path

import pytest

from ngdiff.recipes.draw import draw, make_figure
from ngdiff.recipes.recipe import NAMES, read_recipe, read_variants
from ngdiff.report.style import PALETTE

from .runs import made_group


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("figure")])
def test_every_figure_is_drawn(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    variants = list(recipe.runs(["1e-4"], read_variants()))
    shown = draw(recipe, made_group(tmp_path, *variants, seeds=2), variants, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert len(shown["panels"]) == len(recipe.panels)
    assert all(panel["lines"] for panel in shown["panels"])
    assert shown["title"] == recipe.title


def test_a_plane_has_a_mark_for_each_run_and_its_numbers(tmp_path: Path) -> None:
    recipe = read_recipe("figure1")
    shown = draw(recipe, made_group(tmp_path, "NPO", seeds=2), ["NPO"], tmp_path / "figure.png")
    losses, answers = shown["panels"]
    assert [line for line in losses["lines"] if line[0] == "NPO"] == [["NPO", [(1.5, 0.25)]], ["NPO", [(1.25, 0.25)]]]
    assert answers["lines"][-1] == ["NPO", [(0.75, 0.75)]]
    assert losses["random guess"] == pytest.approx(math.log(100))


def test_what_was_measured_once_is_a_mark(tmp_path: Path) -> None:
    """A line of one point would be invisible."""
    recipe, group = read_recipe("figure7"), made_group(tmp_path, "NGDiff+AutoLR")
    for log in tmp_path.rglob("training_log.json"):
        content = json.loads(log.read_text(encoding="utf-8"))
        content["steps"] = content["steps"][:1]
        log.write_text(json.dumps(content), encoding="utf-8")
    figure, _ = make_figure(recipe, group, ["NGDiff+AutoLR"])
    lines = [line for panel in figure.axes for line in panel.lines]
    assert lines
    assert {(len(line.get_xdata()), line.get_marker()) for line in lines} == {(1, "o")}


def test_no_two_methods_look_alike(tmp_path: Path) -> None:
    recipe = read_recipe("figure1")
    variants = list(recipe.runs(["1e-4"], read_variants()))
    assert len(variants) > len(PALETTE)
    figure, _ = make_figure(recipe, made_group(tmp_path, *variants), variants)
    for panel in figure.axes:
        marks = [line for line in panel.lines if line.get_marker() != "None"]
        assert len({(mark.get_color(), mark.get_marker()) for mark in marks}) == len(marks) == len(variants) + 2


def test_one_legend_names_all_methods_once(tmp_path: Path) -> None:
    recipe = read_recipe("figure1")
    variants = list(recipe.runs(["1e-4"], read_variants()))
    figure, _ = make_figure(recipe, made_group(tmp_path, *variants, seeds=2), variants)
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["before", "retrained", *variants, "random guess, ln V"]


def test_what_was_not_logged_is_said_and_not_drawn(tmp_path: Path) -> None:
    recipe = read_recipe("figure5")
    group = made_group(tmp_path, "NGDiff-default")
    for log in tmp_path.rglob("training_log.json"):
        log.unlink()
    shown = draw(recipe, group, ["NGDiff-default"], tmp_path / "figure.png")
    assert [panel["lines"] for panel in shown["panels"]] == [[], [], []]
