"""The method without a framework: torch only, no model, no configuration."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.core.answers import Answers
    from ngdiff.core.autolr import AutoLR, AutoLRSettings, Probe
    from ngdiff.core.by_entries import EntryRule, choose_entries
    from ngdiff.core.combine import combine
    from ngdiff.core.gramian import Gramian
    from ngdiff.core.inner_products import gramian
    from ngdiff.core.lean_line import LeanStepLine
    from ngdiff.core.line import NonlinearOptimizerError, StepLine
    from ngdiff.core.parabola import Parabola
    from ngdiff.core.slots import GradientSlots

__all__ = [
    "Answers",
    "AutoLR",
    "AutoLRSettings",
    "EntryRule",
    "GradientSlots",
    "Gramian",
    "LeanStepLine",
    "NonlinearOptimizerError",
    "Parabola",
    "Probe",
    "StepLine",
    "choose_entries",
    "combine",
    "gramian",
]

make_lazy(__name__)
