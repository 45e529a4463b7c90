"""What `ngdiff audit` found: the attacks that recover more from this model than from one that never saw the rows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.evidence.read_run import read_run
from ngdiff.file_names import AUDIT_FILE, MANIFEST
from ngdiff.hashes import sha256_file
from ngdiff.paths import user_path
from ngdiff.report.folders import Run, weights
from ngdiff.scoring.quantities import shown

_NUMBERS = ("extraction_strength", "verbmem", "leak", "AUC", "auc", "exposure")


@dataclass(frozen=True)
class Audit:
    """An audit. `manifest`: empty if `audit.json` has none next to it."""

    file: Path
    content: Mapping[str, Any]
    manifest: Mapping[str, Any] = field(default_factory=dict)


class Attack(NamedTuple):
    """The form of an attack that brings back most, numbers as text; `verdict`: whether that is more than chance."""

    name: str
    form: str
    measure: str
    model: str
    reference: str
    beyond: str
    interval: str
    chance: str
    verdict: str


class AuditResults(NamedTuple):
    """`reference`: what the attacks were compared with; empty for nothing, and then there are `forms` in the place of
    `attacks`: attack, form, numbers. `not_run`: attacks and why."""

    reference: str
    robustness: str
    attacks: list[Attack]
    forms: list[tuple[str, str, str]]
    not_run: list[tuple[str, str]]


def read_audit(place: str | Path) -> Audit:
    """An audit from its folder or its `audit.json`.

    Raises:
        InputError: nothing there, or it is not as it was written.
    """
    path = user_path(place, "--audit")
    file = path / AUDIT_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"--audit {place}: there is no {AUDIT_FILE}; `ngdiff audit` writes one")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        results_of(Audit(file, content))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{file} is no {AUDIT_FILE} of ngdiff ({type(error).__name__}: {error})") from error
    if file.name != AUDIT_FILE or not (file.parent / MANIFEST).is_file():
        return Audit(file, content)
    _, manifest = read_run(file.parent)
    expected = manifest["outputs"].get(AUDIT_FILE)
    if expected is not None and sha256_file(file) != expected:
        raise InputError(f"{file} is not as the audit wrote it: its SHA-256 is not that of {MANIFEST}")
    return Audit(file, content, manifest)


def audit_near(run: Run) -> Audit | None:
    """The audit of a run's weights, in its folder or next to it; None if there is none.

    Raises:
        InputError: there are several.
    """
    own = weights(run.manifest["outputs"])
    found = [audit for audit in _audits_near(run.folder) if own and own == _attacked(audit)]
    if len(found) > 1:
        places = ", ".join(str(audit.file.parent) for audit in found)
        raise InputError(f"{run.folder} has several audits: {places}; name one with --audit")
    return found[0] if found else None


def results_of(audit: Audit) -> AuditResults:
    """The audit in words and numbers."""
    content = audit.content
    reference, attacks = content["reference"], content["attacks"]
    return AuditResults(
        "" if reference is None else str(reference).replace("_", "-"),
        "-" if content["robustness"] is None else f"{content['robustness']:.3f}",
        [attack_row(name, own) for name, own in attacks.items() if "worst" in own],
        [(name, form, _numbers(one["model"])) for name, own in attacks.items() for form, one in own["forms"].items()],
        [(str(name), str(why)) for name, why in content["not_run"].items()],
    )


def attack_row(name: str, own: Mapping[str, Any]) -> Attack:
    """One attack that was compared with a reference, as `audit.json` has it."""
    worst = own["worst"]
    form, measure = own["forms"][worst["form"]], worst["measure"]
    known = [form[side].get(measure, form[side].get("auc")) for side in ("model", "reference")]
    model, reference = ("-" if value is None else f"{value:.3f}" for value in known)
    interval = "-" if worst["interval"] is None else "[{:+.3f}, {:+.3f}]".format(*worst["interval"])
    verdict = "comes back" if own["certain"] else ""
    beyond, chance = f"{worst['value']:+.3f}", f"{own['chance']:.4f}"
    return Attack(name, worst["form"], measure, model, reference, beyond, interval, chance, verdict)


def _numbers(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {shown(found[key])}" for key in _NUMBERS if isinstance(found.get(key), float))


def _attacked(audit: Audit) -> Mapping[str, str]:
    return weights(audit.manifest.get("model", {}).get("files", {}))


def _audits_near(folder: Path) -> Iterator[Audit]:
    around = folder.resolve()
    for place in (*around.iterdir(), *around.parent.iterdir()):
        if place.is_dir() and (place / AUDIT_FILE).is_file() and (place / MANIFEST).is_file():
            try:
                yield read_audit(place)
            except InputError:  # a damaged folder of somebody else is not looked into
                continue
