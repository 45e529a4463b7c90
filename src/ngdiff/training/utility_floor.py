"""`--utility-floor`: the model that is handed over is the last one measured that keeps its Utility."""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ngdiff.errors import InputError

logger = logging.getLogger(__name__)

_FILE = "kept_weights.safetensors"  # in a checkpoint


class UtilityFloor:
    """Keeps the trained weights of the last measure whose Utility is at least `fraction` of that before the run.

    Utility is that of `--eval-generate-steps`, measured before the first step, on the way, and after the last step. A
    Utility that falls on the way and recovers ends nothing. If it is too low after the last step, the weights that were
    kept are put back; if none were, the model is ruined. Its figures are `RunState.utility`:

    - `before`: Utility before the first step; `least`: `fraction` of it;
    - `kept_step`, `kept`: step and Utility of the last measure at or above `least`; step 0 for none;
    - `last`: Utility of the last measure.

    The copy lies on the host: as many bytes as the trained weights.

    Args:
        trainer: An `UnlearnTrainer` with a quick measure, at the start of its run.
        fraction: From 0 to 1.

    Raises:
        InputError: the model answers none of the rows to keep, so that there is nothing to hold.
    """

    def __init__(self, trainer: Any, fraction: float) -> None:
        self._trainer = trainer
        self._weights: dict[str, Tensor] = {}
        if not self.figures:
            before = trainer.measure()["utility"]
            if before <= 0:
                raise InputError(f"--utility-floor {fraction:g}: Utility is 0 before unlearning; there is none to keep")
            self.figures.update(before=before, least=fraction * before, kept_step=0, kept=before, last=before)
            logger.info("Utility before unlearning: %.3f. At least %.3f is kept.", before, self.figures["least"])
        elif self.figures["kept_step"] == trainer.state.global_step:  # resumed from that very step
            self._copy()

    @property
    def figures(self) -> dict[str, Any]:
        """Part of the run's state."""
        found: dict[str, Any] = self._trainer.run_state.utility
        return found

    def see(self, utility: float) -> None:
        """Note the Utility after a step, and keep the weights if it is high enough."""
        self.figures["last"] = utility
        if utility >= self.figures["least"]:
            self.figures.update(kept_step=self._trainer.state.global_step, kept=utility)
            self._copy()

    def end(self) -> None:
        """After the last step: put back the weights that were kept, if Utility is too low now."""
        kept = self.figures
        if kept["last"] >= kept["least"] or not kept["kept_step"]:
            return
        with torch.no_grad():
            for name, parameter in self._parameters():
                parameter.copy_(self._weights[name])
        logger.warning(
            "Utility fell to %.3f, and --utility-floor asks for %.3f: the model of step %d is handed over, with %.3f.",
            kept["last"],
            kept["least"],
            kept["kept_step"],
            kept["kept"],
        )

    def save(self, checkpoint: str | Path) -> None:
        """Write the kept weights into a checkpoint, where they are not the checkpoint's own."""
        if self._weights and self.figures["kept_step"] != self._trainer.state.global_step:
            save_file(self._weights, Path(checkpoint, _FILE))

    def load(self, checkpoint: str | Path) -> None:
        """Read what `save` wrote."""
        if Path(checkpoint, _FILE).is_file():
            self._weights = load_file(Path(checkpoint, _FILE))

    def _copy(self) -> None:
        self._weights = {name: p.detach().to("cpu", copy=True).contiguous() for name, p in self._parameters()}

    def _parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def why_too_low(figures: dict[str, Any]) -> str:
    """Why a run without any weights to put back has ruined its model, as part of a sentence; empty if it has not.

    Args:
        figures: `RunState.utility`; empty without `--utility-floor`.
    """
    if not figures or figures["kept_step"] or figures["last"] >= figures["least"]:
        return ""
    before, last, least = (figures[name] for name in ("before", "last", "least"))
    return f"its Utility fell from {before:.3f} to {last:.3f}, and {least:.3f} is the least that is taken"
