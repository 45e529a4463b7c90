"""Which images a source has, known before their pixels are read."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ngdiff.data.images import ImageData


@dataclass(frozen=True, eq=False)
class ImageList:
    """The training images of a source, and the names of its test images.

    Args:
        labels: (N,) int64, each a place in `class_names`.
        class_names: Names of the classes.
        origin: Where the training images come from, for messages.
        files: Path of each training image below the folder that they come from, with slashes; None for other sources.
        test_files: The same of the test images.
    """

    labels: Tensor
    class_names: tuple[str, ...]
    origin: str
    files: tuple[str, ...] | None = None
    test_files: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, data: ImageData) -> "ImageList":
        """That of images whose pixels are read."""
        train, test = data.train, data.test
        return cls(train.labels, train.class_names, train.origin, train.files, None if test is None else test.files)


# Called with the list of a source as soon as it is known; what it raises ends the reading.
ListCheck = Callable[[ImageList], object]
