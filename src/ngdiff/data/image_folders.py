"""Folders of images that are not read as they look: figures of a run and deeper folders would be classes of their own,
what links lead to is left out, and a file of metadata takes the place of the folders' names.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.own_folders import is_ours

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def check_image_folder(root: Path, splits: Collection[str]) -> None:
    """Refuse a folder in which not every image lies in the folder of its class, as a file of its own.

    `datasets` takes the name of an image's folder for its class, so that the curves in an output folder below would be
    of a class of that name.

    Args:
        root: The folder.
        splits: Names of folders that hold those of the classes.

    Raises:
        InputError: an output folder of ngdiff with images in it, images beside the folders of classes, links that are
            not followed, or metadata of `datasets`; names them.
    """
    if is_ours(root):
        raise InputError(f"--dataset {root}: this is an output folder of ngdiff, not a folder of images")
    _check_links(root)
    _check_metadata(root, splits)
    folders = {folder: image for folder, image in _with_images(root) if image}
    for folder, image in folders.items():
        run = next(
            (place for place in (folder, *folder.parents) if place.is_relative_to(root) and is_ours(place)), None
        )
        if run is not None:
            figure = (folder / image).relative_to(run).as_posix()
            raise InputError(
                f"--dataset {root}: {run} is an output folder of ngdiff, whose figures ({figure}) "
                "would be images of a class; move it to another place"
            )
    for folder, image in folders.items():
        deeper = next((other for other in folders if folder in other.parents), None)
        if deeper is not None and folder != root and not (folder.parent == root and folder.name in splits):
            raise InputError(
                f"--dataset {root}: {deeper / folders[deeper]} lies deeper than {folder / image}, so that it would be "
                f"of a class {deeper.name!r} and not {folder.name!r}; move it to the folder of its class, or out of "
                f"{root}"
            )
        if deeper is not None:
            raise InputError(
                f"--dataset {root}: {folder / image} lies beside the folders of the classes, so that it would be of a "
                f"class {folder.name!r}; move it to the folder of its class, or out of {root}"
            )


def _check_links(root: Path) -> None:
    """`datasets` passes over links that lead nowhere, and over those to folders."""
    for place, below, names in _walk(root):
        for name in names:
            link = place / name
            if link.is_symlink() and not link.exists():
                raise InputError(
                    f"--dataset {root}: {link} is a link to {os.readlink(link)}, where nothing is; put the image "
                    "there, or remove the link"
                )
        for name in below:
            link = place / name
            if not link.is_symlink() or link.resolve().is_relative_to(root.resolve()):
                continue  # what lies within the folder is read where it lies
            if any(image for _, image in _with_images(link.resolve())):
                raise InputError(
                    f"--dataset {root}: {link} is a link to a folder of images, which would not be read; put the "
                    "folder itself there, with links to its images if need be"
                )


def _check_metadata(root: Path, splits: Collection[str]) -> None:
    """With metadata `datasets` takes its columns for those of the images, and no class from a folder's name."""
    unread = {root} if any((root / name).is_dir() for name in splits) else set()  # it looks into the splits alone
    for place, _, names in _walk(root):
        for name in _METADATA if place not in unread else ():
            if name in names:
                raise InputError(
                    f"--dataset {root}: with {place / name} the images would have its columns, and no class; classes "
                    f"are taken from the names of folders: move it out of {root}"
                )


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder that `datasets` looks into, with the sorted names of folders and of files in it."""
    for place, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith((".", "__")))
        yield Path(place), below, sorted(name for name in names if not name.startswith((".", "__")))


def _with_images(root: Path) -> Iterator[tuple[Path, str]]:
    """Each folder that `datasets` looks into, and its first image; empty for none."""
    from PIL import Image

    endings = tuple(Image.registered_extensions())
    for place, _, names in _walk(root):
        yield place, next((name for name in names if name.lower().endswith(endings)), "")
