"""What a run is and did, for its manifest: its method, its length, its losses."""

import math
from typing import Any

from ngdiff.training.outcome import Outcome
from ngdiff.training.unlearn_arguments import UnlearnArguments
from ngdiff.writing import without_nan


def run_as_extra(trainer: Any, outcome: Outcome) -> dict[str, Any]:
    """Entries of the manifest of an unlearning run that has ended.

    Args:
        trainer: An `UnlearnTrainer` after `train`.
        outcome: Of the run.
    """
    state = trainer.run_state
    return {
        **method_as_extra(trainer.args),
        "steps": trainer.state.global_step,
        **outcome.as_extra(),
        "max_retain_loss": outcome.bound if math.isfinite(outcome.bound) else None,
        **({"utility_floor": dict(state.utility)} if state.utility else {}),
        **({"undone": without_nan(state.undone)} if state.undone else {}),
    }


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
