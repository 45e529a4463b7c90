"""Kinds of models and rows, each behind the same door: what the trainer asks is a `Task`."""

from ngdiff.tasks.base import Rows, RunSettings, Task
from ngdiff.tasks.images import ImageTask
from ngdiff.tasks.text import TextTask
from ngdiff.tasks.text_options import TextOptions

__all__ = ["ImageTask", "Rows", "RunSettings", "Task", "TextOptions", "TextTask"]
