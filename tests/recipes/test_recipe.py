"""The recipes of the package: all that they name exists."""

import re

import pytest

from ngdiff.cli.tasks import TASKS
from ngdiff.errors import InputError
from ngdiff.recipes.draw import LABELS
from ngdiff.recipes.recipe import NAMES, NOT_KNOWN, SCALES, read_recipe, read_variants
from ngdiff.recipes.setup import read_setup

DATA = ("tofu", "muse-news", "cifar10", "cifar100")


def test_tables_and_figures_of_the_paper_have_a_recipe_or_a_reason() -> None:
    numbers = {"table": range(1, 7), "figure": range(1, 8)}
    assert sorted([*NAMES, *NOT_KNOWN]) == sorted(f"{kind}{n}" for kind, own in numbers.items() for n in own)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_what_exists(name: str) -> None:
    recipe, variants = read_recipe(name), read_variants()
    assert recipe.kind == name.rstrip("0123456789")
    assert recipe.title.startswith(f"{recipe.kind.capitalize()} {name.removeprefix(recipe.kind)}: ")
    assert {*recipe.data} <= {*DATA}
    assert {*recipe.variants, *recipe.at_rates} <= {*variants}
    of_the_paper = {name for data in recipe.data for name in read_setup(data, "paper").models}
    assert {*recipe.models} <= of_the_paper
    for place, rows in recipe.paper.items():
        model, _, data = place.partition(" on ")
        assert model in of_the_paper
        assert data in ("", *recipe.data)
        assert {*rows} <= {*recipe.variants}
        assert all(len(row) == len(recipe.columns) and all(0 <= x <= 1 for x in row) for row in rows.values())
    assert bool(recipe.columns) == (recipe.kind == "table")
    assert bool(recipe.panels) == (recipe.kind == "figure")
    for panel in recipe.panels:
        assert {panel[key] for key in ("key", "x", "y") if key in panel} <= {*LABELS}
        assert panel.get("variant", "NGDiff") in variants


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("scale", SCALES)
def test_a_setup_names_options_that_exist(data: str, scale: str) -> None:
    setup = read_setup(data, scale)
    kinds = TASKS[setup.options.get("task", "text")]
    kinds.finetune.parser.words_of(setup.target, "setups.yaml")
    kinds.unlearn.parser.words_of(setup.options, "setups.yaml")
    for name, options in read_variants().items():
        kinds.unlearn.parser.words_of(options, f"variants.yaml: {name}")
    assert setup.rate in setup.rates
    assert setup.like in read_setup(data, "paper").models
    assert bool(setup.models) == (scale != "small")


def test_methods_at_several_rates() -> None:
    runs = read_recipe("figure7").runs(["1e-4", "1e-3"], read_variants())
    assert list(runs) == ["NGDiff+AutoLR", "NGDiff-default", "NGDiff-lr1e-4", "NGDiff-lr1e-3"]
    assert runs["NGDiff-lr1e-3"] == {"weighting": "ngdiff", "learning_rate": "1e-3"}


def test_what_has_no_recipe_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="table6: what the paper's Table 6 holds is not known"):
        read_recipe("table6")
    with pytest.raises(InputError, match=re.escape("table9 is no table or figure with a recipe; one of figure1,")):
        read_recipe("table9")
