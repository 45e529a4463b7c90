"""The request: rows, models, template and method of a run, by counts and hashes."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.evidence.replayed import model_files
from ngdiff.report.folders import Run
from ngdiff.report.listed_files import ListedFiles, listed_files
from ngdiff.report.method_words import method_in_words

ROLES = {
    "forget": "to be forgotten",
    "retain": "to be kept",
    "holdout": "never seen by the model, for comparison",
    "test": "never seen by the model, for what is kept",
    "protect": "to be read as before",
    "full": "learned at first, forget and retain rows together",
    "train": "learned",
}


@dataclass(frozen=True)
class Rows:
    """A set: purpose, source, number of rows, and hashes."""

    role: str
    meaning: str
    source: str
    count: int
    sha256: str
    files: ListedFiles


@dataclass(frozen=True)
class ModelFiles:
    """A model: where it came from or went to, and hashes of its files, or another identifier."""

    title: str
    source: str
    files: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True)
class Asked:
    """The request, from the run's manifest and options.

    `checked`: what was found in the rows before the first step. `facts`: of the run, by name. `method`: sentences.
    `formulas`: of its parts. `options`: all of them, as text.
    """

    rows: list[Rows]
    checked: list[str]
    models: list[ModelFiles]
    template: str
    method: list[str]
    formulas: Mapping[str, str]
    facts: Mapping[str, str]
    options: Mapping[str, str]
    ruined: str


def asked(run: Run) -> Asked:
    """What a run was asked, and how it was done."""
    manifest, options = run.manifest, run.options
    extra = manifest["extra"]
    formulas, files = extra.get("formulas", {}), listed_files(manifest["data"])
    return Asked(
        rows=[
            Rows(
                role,
                ROLES.get(role, ""),
                str(own.get("source", "made in memory")),
                own["rows"],
                own["rows_sha256"],
                files[role],
            )
            for role, own in manifest["data"].items()
        ],
        checked=[f"{one['what']}: {one['found']}" for one in extra.get("checks", ())],
        models=_models(run),
        template=_template(manifest),
        method=method_in_words(options, extra),
        formulas={str(name): str(formula) for name, formula in formulas.items()},
        facts={
            "finished": manifest["utc"],
            "command": shlex.join(manifest["command"]),
            "seed": str(manifest["seed"]),
            "device": manifest["device"],
            "processes": str(extra.get("processes", 1)),
            **named_images(manifest),
        },
        options={name: _text(value) for name, value in options.items()},
        ruined=str(extra.get("ruined", "")),
    )


def named_images(manifest: Mapping[str, Any]) -> dict[str, str]:
    """How the images to forget were chosen, as a fact by name, where a file names them; else nothing."""
    own = (manifest.get("own") or {}).get("forget-images")
    if own is None:
        return {}
    file = f"{Path(own['source']).name} (SHA-256 {own['file_sha256']})"
    return {"images to forget": f"{own['rows']} named in {file}"}


def _template(manifest: Mapping[str, Any]) -> str:
    """The full template if the manifest has it, else its name."""
    if manifest["template"] is None:
        return "none: images"
    return str(manifest.get("template_text") or manifest["template"])


def _models(run: Run) -> list[ModelFiles]:
    model, written = run.manifest["model"], model_files(run.manifest)
    # A merge reads the adapter that has unlearned already.
    title = "adapter that was merged" if run.command == "merge" else "model before"
    found = [_described(title, model)] if model else []
    found += [_described("its base model", model["base"])] if "base" in model else []
    found += [_described("model before fine-tuning", model["base_model"])] if "base_model" in model else []
    return [*found, ModelFiles("model after", str(run.folder), written)] if written else found


def _described(title: str, model: Mapping[str, Any]) -> ModelFiles:
    revision = model.get("revision")
    note = "" if revision is None else f"revision {revision}"
    if "shape" in model:
        note = "random weights of this shape"
    elif not model.get("files"):
        note = note or "from the hub; its revision is not known"
    return ModelFiles(title, str(model.get("source", model.get("shape", "not known"))), model.get("files", {}), note)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
