"""Folders of images that hold other images, too: figures of a run, which would be images of a class of their own."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.own_folders import is_ours


def check_image_folder(root: Path, splits: Collection[str]) -> None:
    """Refuse a folder in which not every image lies in the folder of its class.

    `datasets` takes the name of an image's folder for its class, so that the curves in an output folder below would be
    of a class of that name.

    Args:
        root: The folder.
        splits: Names of folders that hold those of the classes.

    Raises:
        InputError: an output folder of ngdiff with images in it, or images beside the folders of classes; names them.
    """
    if is_ours(root):
        raise InputError(f"--dataset {root}: this is an output folder of ngdiff, not a folder of images")
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


def _with_images(root: Path) -> Iterator[tuple[Path, str]]:
    """Each folder that `datasets` looks into, once, and its first image; empty for none."""
    from PIL import Image

    endings, seen = tuple(Image.registered_extensions()), {root.resolve()}
    for place, below, names in os.walk(root, followlinks=True):
        own = sorted(name for name in below if not name.startswith((".", "__")))
        targets = {name: Path(place, name).resolve() for name in own}
        below[:] = [name for name in own if targets[name] not in seen]  # a link may lead back up
        seen.update(targets.values())
        yield Path(place), next((name for name in sorted(names) if name.lower().endswith(endings)), "")
