"""Kinds of models and rows. Each is a `Task`, the interface that the trainer uses."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.tasks.base import NO_ROW, Rows, RunSettings, Task
    from ngdiff.tasks.images import ImageTask
    from ngdiff.tasks.text import TextTask
    from ngdiff.tasks.text_options import TextOptions

__all__ = ["NO_ROW", "ImageTask", "Rows", "RunSettings", "Task", "TextOptions", "TextTask"]

make_lazy(__name__)
