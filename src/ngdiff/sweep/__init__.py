"""Sweeps: the points of a grid of options, and the commands that they need, each run once."""

from ngdiff.sweep.grid import Axes, Point, axes_that_matter, check_axes, name_of, points_of, read_axes
from ngdiff.sweep.jobs import Job, Result
from ngdiff.sweep.record import SWEEP, Record
from ngdiff.sweep.worker import work

__all__ = [
    "SWEEP",
    "Axes",
    "Job",
    "Point",
    "Record",
    "Result",
    "axes_that_matter",
    "check_axes",
    "name_of",
    "points_of",
    "read_axes",
    "work",
]
