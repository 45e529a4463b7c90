"""`read_named_images`: a file that names the images to forget, one a line."""

import hashlib
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ngdiff.errors import InputError
from ngdiff.paths import check_regular, user_path

if TYPE_CHECKING:
    from ngdiff.data.image_list import ImageList

_SHOWN = 60  # characters of a line in a message, at most


@dataclass(frozen=True)
class NamedImages:
    """Images by their names.

    Args:
        source: The file, as typed.
        lines: Number of each line that is not empty, from 1, and what it says.
        sha256: Hash of the file.
    """

    source: str
    lines: tuple[tuple[int, str], ...]
    sha256: str

    def rows_of(self, images: "ImageList") -> list[int]:
        """The named training images, as rows in ascending order.

        An image of a folder is named by its path below the folder, any other by its row, from 0.

        Args:
            images: All training images.

        Raises:
            InputError: a line that names no training image, a test image, or an image of an earlier line; all training
                images; names file, line and what it says.
        """
        line_of: dict[int, int] = {}
        rows = _rows_by_name(images)
        for line, text in self.lines:
            row = rows.get(_name(text, images))
            if row is None:
                raise InputError(f"--forget-images {self.source}, line {line}: {_shown(text)} {_reason(text, images)}")
            if row in line_of:
                raise InputError(
                    f"--forget-images {self.source}, line {line}: {_shown(text)} is the image of line {line_of[row]}, "
                    "too; name each image once"
                )
            line_of[row] = line
        if len(line_of) == len(images):
            raise InputError(
                f"--forget-images {self.source} names all {len(line_of)} training images of {images.origin}; some must "
                "be left to keep"
            )
        return sorted(line_of)


def read_named_images(path: str | Path) -> NamedImages:
    """Names of images, one a line, from a UTF-8 text file; empty lines are passed over.

    Args:
        path: The file.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or names no image.
    """
    file = user_path(path, "--forget-images")
    try:
        check_regular(file, f"--forget-images {path}")
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"--forget-images {path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--forget-images {path}: not UTF-8 text (byte {error.start})") from error
    lines = tuple((line, name) for line, own in enumerate(text.split("\n"), 1) if (name := own.strip()))
    if not lines:
        raise InputError(f"--forget-images {path}: names no image; expected one a line")
    return NamedImages(str(path), lines, hashlib.sha256(content).hexdigest())


def check_what_is_forgotten(forget_class: str | None, forget_rows: int | None, forget_images: str | None) -> None:
    """Refuse options of which none names images to forget, or names of images beside a class or a number.

    Raises:
        InputError: names the options.
    """
    if forget_images is None:
        if forget_class is None and forget_rows is None:
            raise InputError(
                "--forget-class, --forget-rows or --forget-images: name a class to forget, a number of images of any "
                "class, or a file that names the images"
            )
        return
    other = f"--forget-class {forget_class}" if forget_class is not None else f"--forget-rows {forget_rows}"
    if forget_class is not None or forget_rows is not None:
        raise InputError(f"--forget-images {forget_images} and {other}: give one of them")


def _rows_by_name(images: "ImageList") -> dict[str, int]:
    names = map(str, range(len(images))) if images.files is None else images.files
    return {name: row for row, name in enumerate(names)}


def _name(text: str, images: "ImageList") -> str:
    """What a line says, in the form of `_rows_by_name`."""
    if images.files is not None:
        return posixpath.normpath(text)
    return text.lstrip("0") or "0"


def _reason(text: str, images: "ImageList") -> str:
    if images.files is None:
        return f"is no number of a training image of {images.origin}: they are 0 to {len(images) - 1}"
    if images.test_files is not None and posixpath.normpath(text) in images.test_files:
        return "is a test image, which the model never saw; name training images"
    return f"is no training image of {images.origin}; give its path below that folder, such as {images.files[0]}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
