"""Sweeps: the points of a grid of options, and the commands that they need, each run once."""

from ngdiff.file_names import SWEEP
from ngdiff.sweep.grid import Axes, Point, axes_that_matter, check_axes, name_of, points_of, read_axes
from ngdiff.sweep.jobs import JUDGED, Job, Result
from ngdiff.sweep.record import Record
from ngdiff.sweep.space import Choice, Interval, Space, read_space
from ngdiff.sweep.study import STORAGE, Study, Trial, require_optuna
from ngdiff.sweep.worker import Start, work

__all__ = [
    "JUDGED",
    "STORAGE",
    "SWEEP",
    "Axes",
    "Choice",
    "Interval",
    "Job",
    "Point",
    "Record",
    "Result",
    "Space",
    "Start",
    "Study",
    "Trial",
    "axes_that_matter",
    "check_axes",
    "name_of",
    "points_of",
    "read_axes",
    "read_space",
    "require_optuna",
    "work",
]
