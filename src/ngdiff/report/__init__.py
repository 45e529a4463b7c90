"""Reports: plain dicts and files in, figures out. No model is needed."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.report.curves import plot_curves
    from ngdiff.report.sequence import plot_sequence

__all__ = ["plot_curves", "plot_sequence"]

make_lazy(__name__)
