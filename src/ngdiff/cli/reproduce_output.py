"""Tables and figures of recipes from what the runs left."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ngdiff.cli.reproduce_plan import RecipeSweep
from ngdiff.recipes.draw import draw
from ngdiff.recipes.ran import Group
from ngdiff.recipes.recipe import Recipe, read_variants
from ngdiff.recipes.table import FORMATS, paper_table
from ngdiff.writing import write_json, write_text

Own = Sequence[tuple[RecipeSweep, Group]]


def write_recipe(recipe: Recipe, own: Own, notes: Sequence[str], folder: Path) -> None:
    """Write and tell the table or the figures of a recipe.

    Args:
        recipe: Of a table or figure.
        own: Its sweeps, with their runs.
        notes: How these differ from the paper's.
        folder: For the files, which are called as the recipe is.
    """
    if recipe.kind == "table":
        table = paper_table(recipe, [group for _, group in own], notes)
        for suffix, write in FORMATS.items():
            write_text(folder / f"{recipe.name}.{suffix}", write(table))
        sys.stdout.write(f"\n{FORMATS['txt'](table)}")
        return
    for sweep, group in own:
        name = recipe.name if len(own) == 1 else f"{recipe.name}-{sweep.name}"
        variants = list(recipe.runs(sweep.setup.rates, read_variants()))
        shown = draw(recipe, group, variants, folder / f"{name}.png")
        write_json(folder / f"{name}.json", {**shown, "notes": [*recipe.notes, *notes]})
        sys.stdout.write(f"{recipe.title}: {folder / name}.png\n")


def notes_on(own: Own, scale: str, seeds: Sequence[int]) -> list[str]:
    """How our runs differ from the paper's."""
    rates = ", ".join(dict.fromkeys(str(sweep.setup.rate) for sweep, _ in own))
    notes = [f"Scale {scale}; seeds {', '.join(map(str, seeds))}; methods without AutoLR have the rate {rates}."]
    for sweep, _ in own:
        if scale != "paper" or sweep.model != sweep.paper:
            rows = ", ".join(f"{name} {count}" for name, count in sweep.setup.rows.items()) or "all rows"
            notes.append(
                f"Ours is {sweep.label} on {sweep.data} ({rows}), the paper's {sweep.paper} on all of it; compare the "
                "order of methods, not the values."
            )
    return notes
