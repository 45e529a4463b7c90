"""Reports: plain dicts and files in, figures out. No model is needed."""

from ngdiff.report.curves import plot_curves

__all__ = ["plot_curves"]
