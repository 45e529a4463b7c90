"""Labelled images in memory: the common form of all image data.

Shape legend: N images, C channels (3: red, green, blue), H height, W width.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ngdiff.errors import InputError


def named_image(row: int, files: Sequence[str] | None = None, place: str | None = None) -> str:
    """An image in a message, by the name that `--forget-images` takes: its path below its folder, else its number.

    Args:
        row: The image, from 0.
        files: Path of each image below the folder that they come from; None for other sources.
        place: The file that a source without a folder has an image from, if it says so.

    >>> named_image(3), named_image(1, ["cat/0.png", "dog/1.png"]), named_image(3, None, "1.png")
    ('image 3 (from 0)', 'image dog/1.png', 'image 3 (from 0; 1.png)')
    """
    if files is not None:
        return f"image {files[row]}"
    return f"image {row} (from 0{'' if place is None else f'; {place}'})"


@dataclass(frozen=True, eq=False)
class Images(Sequence[dict[str, Any]]):
    """Labelled images of one size; as a sequence, the rows that the trainer takes.

    Args:
        pixels: (N, C, H, W) uint8.
        labels: (N,) int64, each a place in `class_names`.
        class_names: One for each output of a classifier; classes without images are allowed.
        origin: Where they came from, for messages and the manifest.
        places: (N,) int64, the place of each image in its source; by default 0 to N - 1.
        files: Path of each image below the folder that they came from, with slashes; None for other sources.

    Raises:
        InputError: parts that do not fit together.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    origin: str = "images"
    places: Tensor | None = None
    files: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != torch.uint8:
            raise InputError(
                f"{self.origin}: pixels are {self.pixels.dtype} of shape {tuple(self.pixels.shape)}; they must be "
                "uint8 of shape (images, channels, height, width)"
            )
        if self.labels.shape != self.pixels.shape[:1] or self.labels.dtype != torch.int64:
            raise InputError(
                f"{self.origin}: labels are {self.labels.dtype} of shape {tuple(self.labels.shape)} for "
                f"{len(self.pixels)} images; they must be int64, one for each image"
            )
        strange = ((self.labels < 0) | (self.labels >= len(self.class_names))).nonzero()[:, 0].tolist()
        if strange:
            raise InputError(
                f"{self.origin}: labels from {int(self.labels.min())} to {int(self.labels.max())} for "
                f"{len(self.class_names)} classes; they must be from 0 to {len(self.class_names) - 1}, and "
                f"{named_image(strange[0], self.files)} has label {int(self.labels[strange[0]])}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: Any) -> Any:
        """One row: `pixel_values` (C, H, W) uint8, `labels`, `pixels_sha256`."""
        if isinstance(row, slice):
            return self.take(torch.arange(len(self))[row])
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} images")
        return {
            "pixel_values": self.pixels[row],
            "labels": int(self.labels[row]),
            "pixels_sha256": self.digests[row],
        }

    @cached_property
    def digests(self) -> list[str]:
        """SHA-256 of the pixels of each image, as hexadecimal digits."""
        return [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels.contiguous().numpy()]

    def take(self, rows: Tensor) -> "Images":
        """The images of these rows, in the given order; `places` and `files` still refer to the source."""
        taken = torch.arange(len(self))[rows]
        return replace(
            self,
            pixels=self.pixels[rows],
            labels=self.labels[rows],
            places=taken if self.places is None else self.places[rows],
            files=None if self.files is None else tuple(self.files[row] for row in taken.tolist()),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[3])

    def in_order(self, class_names: Sequence[str]) -> "Images":
        """The same images, with labels in the order of a model's classes.

        Raises:
            InputError: the model's classes are not those of the images.
        """
        wanted = tuple(class_names)
        if wanted == self.class_names:
            return self
        if len(wanted) != len(self.class_names):
            raise InputError(
                f"{self.origin} has {len(self.class_names)} classes and the model {len(wanted)}; give the data that "
                "the model was trained on, or a model of these classes"
            )
        if sorted(wanted) != sorted(self.class_names):
            strange = next(name for name in self.class_names if name not in wanted)
            raise InputError(
                f"{self.origin}: the model has no class {strange!r}; its classes are {', '.join(wanted[:10])}"
                f"{', ...' if len(wanted) > 10 else ''}"
            )
        place = torch.tensor([wanted.index(name) for name in self.class_names])
        return replace(self, labels=place[self.labels], class_names=wanted)

    def sha256(self) -> str:
        """Hash of all pixels and labels, in order, and of the class names."""
        digest = hashlib.sha256("\n".join(self.class_names).encode())
        digest.update(self.labels.numpy().tobytes())
        for image in self.digests:
            digest.update(image.encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageData:
    """Training images, and test images that no model has seen.

    Args:
        train: Training images.
        test: Images of the same classes, never trained on; None if the source has none.
    """

    train: Images
    test: Images | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.class_names

    def in_order(self, class_names: Sequence[str]) -> "ImageData":
        """As `Images.in_order`."""
        test = None if self.test is None else self.test.in_order(class_names)
        return ImageData(self.train.in_order(class_names), test)
