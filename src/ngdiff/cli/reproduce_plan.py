"""The sweeps that recipes need, and what they left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ngdiff.cli.reproduce_data import IMAGES, local, prepare
from ngdiff.cli.sweep import planned
from ngdiff.cli.sweep_file import VARIANT, Stages, SweepFile
from ngdiff.errors import InputError
from ngdiff.file_names import PRIVATE, SWEEP
from ngdiff.recipes.ran import Group, Ran
from ngdiff.recipes.recipe import Recipe, read_variants
from ngdiff.recipes.setup import Setup, read_setup
from ngdiff.scoring.sweeps import read_sweep
from ngdiff.sweep import Record, name_of


@dataclass(frozen=True)
class RecipeSweep:
    """The runs of one model on one data set, for all recipes that need them.

    Attributes:
        name: Of its folder.
        data: Data set.
        model: As the setup or the user names it.
        label: The same without the folders above it, as tables and figures show it.
        place: Folder, hub name or shape of that model.
        setup: Of the data set at the scale.
        trained: Options of every training, beside those of the setup.
        recipes: Names of the recipes.
        variants: Name -> options of `ngdiff unlearn`, beside those of the setup.
    """

    name: str
    data: str
    model: str
    label: str
    place: str
    setup: Setup
    trained: Mapping[str, Any]
    recipes: list[str] = field(default_factory=list)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def shared(self) -> dict[str, str]:
        """Each variant -> the one whose runs it has: the first with the same options, such as the setup's own rate."""
        whole = {name: {**self.setup.options, **options} for name, options in self.variants.items()}
        return {name: next(first for first in whole if whole[first] == whole[name]) for name in whole}

    @property
    def paper(self) -> str:
        """The model of the paper whose numbers stand beside those of this one."""
        return self.model if self.model in read_setup(self.data, "paper").models else self.setup.like


def sweeps_of(
    recipes: Sequence[Recipe], scale: str, models: Sequence[str], trained: Mapping[str, Any]
) -> list[RecipeSweep]:
    """The sweeps that the recipes need together: one for each model and data set.

    At the scale of the paper a recipe is run with the models that it is about; at others with each model.

    Args:
        recipes: Of tables and figures.
        scale: One of `ngdiff.recipes.recipe.SCALES`.
        models: Folders, hub names or shapes in place of the scale's.
        trained: Options of every training, such as its precision.

    Raises:
        InputError: no model for a scale that has none, or one model for texts and images.
    """
    kinds = {data in IMAGES for recipe in recipes for data in recipe.data}
    if models and len(kinds) > 1:
        own = ", ".join(recipe.name for recipe in recipes if set(recipe.data) & set(IMAGES))
        raise InputError(f"--model {models[0]}: {own} is about images, the others are about texts; ask for them apart")
    known = read_variants()
    found: dict[str, RecipeSweep] = {}
    for recipe in recipes:
        for data in recipe.data:
            setup = read_setup(data, scale)
            chosen = {model: model for model in models} or dict(setup.models)
            if not chosen:
                example = "resnet18-cifar" if data in IMAGES else "HuggingFaceTB/SmolLM2-135M"
                raise InputError(f"--scale {scale} needs --model MODEL, such as {example}")
            if scale == "paper" and not models and recipe.models:
                chosen = {name: chosen[name] for name in recipe.models}
            for model, place in chosen.items():
                name = name_of({"data": data, "model": model}, {"data": [data], "model": list(chosen)})
                label = name_of({"model": model}, {"model": list(chosen)}).removeprefix("model=")
                sweep = found.setdefault(name, RecipeSweep(name, data, model, label, place, setup, trained))
                sweep.recipes.append(recipe.name)
                sweep.variants.update(recipe.runs(setup.rates, known))
    return list(found.values())


def planned_sweep(
    sweep: RecipeSweep, folder: Path, data: Path | None, seeds: Sequence[int], *, resume: bool = False
) -> Record:
    """The commands of a sweep, checked. Files of a part of its data are written; nothing is run.

    Args:
        sweep: The sweep.
        folder: For it and for the files.
        data: Folder with copies of the data sets; None: the hub.
        seeds: A run of each variant with each of them.
        resume: Take over what an earlier call completed.

    Raises:
        InputError: data that cannot be read, or what any of the commands would refuse.
    """
    distinct = {name: sweep.variants[name] for name in sweep.shared.values()}
    sources = prepare(sweep.data, local(sweep.data, data), sweep.setup.rows, folder / PRIVATE / sweep.data)
    target = {"model": sweep.place, **sources.target, **sweep.setup.target, **sweep.trained}
    asked = SweepFile(
        place=sweep.name,
        axes={VARIANT: list(distinct), "seed": list(seeds)},
        options={**sweep.setup.options, **sweep.trained, **sources.unlearn},
        variants=distinct,
        stages=Stages(target=target, retrained=True),
    )
    place = folder / sweep.name
    return planned(asked, str(place), resume=resume and place.exists())


def group_of_runs(sweep: RecipeSweep, record: Record) -> Group:
    """What the runs of a sweep left."""
    metrics, _ = read_sweep(record.folder / SWEEP)
    runs = []
    for name, entry in record.runs.items():
        made = entry["values"].get(VARIANT, entry["role"])
        variants = [variant for variant, first in sweep.shared.items() if first == made] or [made]
        numbers, place, fault = metrics.get(name), record.folder / name / "model", _fault(record, name)
        runs += [Ran(variant, numbers, place, fault) for variant in variants]
    return Group(sweep.data, sweep.label, sweep.paper, runs)


def _fault(record: Record, entry: str) -> str:
    """How a run failed; empty if it did not."""
    failed = [job for job in record.not_done() if job.entry == entry]
    if not failed:
        return ""
    result = record.results[failed[0].name]
    end = f" with exit code {result.code}" if result.code is not None else ""
    return f"no numbers: {failed[0].command} {result.status}{end}"
