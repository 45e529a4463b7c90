"""The method of a run for its manifest: the names of its parts, and what they compute."""

from typing import Any

from ngdiff.training.unlearn_arguments import UnlearnArguments


def method_as_extra(config: UnlearnArguments) -> dict[str, Any]:
    """`method`: weighting and both objectives by name; `formulas`: what each of them computes, in a line; `stop`: when
    the run ends, `passes` or `arrived`.

    Args:
        config: Of the run.
    """
    parts = config.parts
    objectives = config.resolve_objectives()
    formulas = {"weighting": config.resolve_weighting().formula}
    formulas |= {f"{side} objective": objectives[side].formula for side in ("forget", "retain")}
    return {
        "method": {"weighting": parts.weighting, "forget": parts.forget, "retain": parts.retain},
        "formulas": {name: formula for name, formula in formulas.items() if formula},
        "stop": "arrived" if config.stops_arrived else "passes",
    }
