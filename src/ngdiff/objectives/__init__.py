"""The objectives that each side minimises. A new one is one file and one line in `table.py`."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.objectives.base import NEEDS, Objective
    from ngdiff.objectives.ceiling import forget_ceiling
    from ngdiff.objectives.table import FORGET_OBJECTIVES, RETAIN_OBJECTIVES

__all__ = ["FORGET_OBJECTIVES", "NEEDS", "RETAIN_OBJECTIVES", "Objective", "forget_ceiling"]

make_lazy(__name__)
