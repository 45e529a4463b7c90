"""A warning where images that an earlier run made the model forget are among those to keep: they are learned again."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.data.named_images import read_named_images
from ngdiff.errors import InputError
from ngdiff.evidence.read_run import DamagedRunError, read_run
from ngdiff.file_names import MANIFEST
from ngdiff.paths import user_path
from ngdiff.plurals import some_of, verb

if TYPE_CHECKING:
    from ngdiff.data import ImageData, ImageSplit

logger = logging.getLogger(__name__)


def warn_of_images_forgotten_before(
    model: str, data: "ImageData", split: "ImageSplit", described: Mapping[str, Any]
) -> None:
    """Say how many images that the model was to forget are among those to keep.

    Args:
        model: As given to --model: where it is the output of an unlearning run, that run and those before it count.
        data: All images.
        split: The sets of this run.
        described: Source of `data`, and hashes of its files; runs on other images are passed over.
    """
    assert split.retain.places is not None  # `take` made it
    kept = set(split.retain.places.tolist())
    for folder, options, manifest in _runs(user_path(model)):
        theirs = manifest["data"]["forget"]
        if theirs["files"] != described["files"] or not (theirs["files"] or theirs["source"] == described["source"]):
            continue
        forgotten = _rows(options, manifest, data)
        if forgotten is None:
            logger.warning(
                "%s, which names the images that the run in %s was to forget, is not as it was: those of them that "
                "--forget-images does not name, too, are kept now and learned again.",
                manifest["own"]["forget-images"]["place"],
                folder,
            )
        elif shared := len(kept.intersection(forgotten)):
            logger.warning(
                "%s that the run in %s was to forget %s among those to keep now, and %s learned again: name %s in "
                "--forget-images, too.",
                some_of(shared, len(forgotten), "image"),
                folder,
                verb(shared),
                verb(shared),
                verb(shared, "it", "them"),
            )


def _runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """The unlearning runs on images that made a model, the last one first, with their options and manifests."""
    seen: set[Path] = set()
    while (folder / MANIFEST).is_file() and folder.resolve() not in seen:
        seen.add(folder.resolve())
        try:
            options, manifest = read_run(folder)
        except DamagedRunError as error:
            logger.warning("Which images %s was to forget before is not known: %s", folder, error)
            return
        if options.get("task") != "image" or "forget" not in manifest["data"]:
            return
        yield folder, options, manifest
        place = manifest["model"].get("place")
        if place is None:
            return
        folder = Path(place)


def _rows(options: Mapping[str, Any], manifest: Mapping[str, Any], data: "ImageData") -> list[int] | None:
    """The training images that a run was to forget; None where the file that names them is not as it was."""
    from ngdiff.data.image_list import ImageList
    from ngdiff.data.image_split import rows_to_forget

    names = None
    if (named := manifest["own"].get("forget-images")) is not None:
        try:
            names = read_named_images(named["place"])
        except InputError:  # it was moved or deleted
            return None
        if names.sha256 != named["file_sha256"]:
            return None
    given = {name: options.get(name) for name in ("forget_class", "forget_rows")}
    rows = rows_to_forget(ImageList.of(data), **given, forget_images=names, seed=int(options.get("forget_seed") or 0))
    return [int(row) for row in rows]
