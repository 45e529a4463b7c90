"""What an audit found, as text."""

from collections.abc import Mapping
from typing import Any

from ngdiff.evidence.table import columns
from ngdiff.report.audit_results import attack_row

TITLES = ("attack", "form that brings back most", "measure", "model", "reference", "beyond it", "interval", "chance")


def audit_table(result: Mapping[str, Any]) -> str:
    """One line for each attack, and what was not run."""
    attacks = result["attacks"]
    if result["reference"] is None:
        lines = _without_reference(attacks)
    else:
        rows = [TITLES, *(_row(name, own) for name, own in attacks.items() if "worst" in own)]
        lines = columns(rows).splitlines()
        value = result["robustness"]
        lines.append("Robustness " + ("-" if value is None else f"{value:.3f}, over {', '.join(attacks)}"))
    lines += [f"not run: {name}: {why}" for name, why in result["not_run"].items()]
    return "\n".join(lines)


def _row(name: str, own: Mapping[str, Any]) -> tuple[str, ...]:
    row = attack_row(name, own)
    return (*row[:-2], f"{row.chance}  {row.verdict}")


def _without_reference(attacks: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, own in attacks.items():
        for form, found in own["forms"].items():
            numbers = "  ".join(
                f"{key} {value:.3f}" for key, value in found["model"].items() if _is_fraction(key, value)
            )
            lines.append(f"{name}: {form}: {numbers}")
    return [
        *lines,
        "no reference (--retrained or --never-trained): what the attacks themselves teach is in these numbers",
    ]


def _is_fraction(key: str, value: Any) -> bool:
    return isinstance(value, float) and key in ("extraction_strength", "verbmem", "leak", "AUC", "auc", "exposure")
