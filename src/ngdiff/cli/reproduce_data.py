"""The rows and images of a recipe: the paper's data sets whole, or a small part of them in files of its own."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.data import Row, read_rows
from ngdiff.data.cifar import PAPER_CLASS
from ngdiff.data.muse import PREFIX as MUSE
from ngdiff.data.npz import read_arrays
from ngdiff.data.tofu import HUB_ID as TOFU
from ngdiff.errors import InputError
from ngdiff.writing import json_lines, write_bytes, write_text

IMAGES = ("cifar10", "cifar100")  # data sets of images
_WORDS = 60  # of a passage of a small part of MUSE-News
# Data set -> places below the folder of `--data`, of which the first that exists is used.
_PLACES = {
    "tofu": ("tofu",),
    "muse-news": ("muse_news", "muse-news"),
    "cifar10": ("cifar10", "cifar10*.npz", "cifar/cifar10", "cifar/cifar10[!0]*.npz"),
    "cifar100": ("cifar100", "cifar100*.npz", "cifar/cifar100", "cifar/cifar100*.npz"),
}


@dataclass(frozen=True)
class Sources:
    """Options that name the data: of `ngdiff finetune` for the model that forgets, and of `ngdiff unlearn`."""

    target: Mapping[str, Any]
    unlearn: Mapping[str, Any]


def local(data: str, folder: Path | None) -> str | None:
    """Where a data set lies below the folder of `--data`; None without such a folder: it comes from the hub.

    Raises:
        InputError: it is not there.
    """
    if folder is None:
        return None
    for place in _PLACES[data]:
        for found in sorted(folder.glob(place)):
            return str(found)
    raise InputError(f"--data {folder}: no {data} there; it may be {', '.join(_PLACES[data])}")


def prepare(data: str, where: str | None, rows: Mapping[str, int], folder: Path) -> Sources:
    """The options that name a data set.

    Args:
        data: Data set.
        where: A copy of it; None: the hub.
        rows: How much of it, as in `setups.yaml`; empty: all.
        folder: For files of a part of it.

    Raises:
        InputError: data that cannot be read, or too few of them.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _PREPARE[data](data, where, rows, folder)


def _tofu(data: str, where: str | None, rows: Mapping[str, int], folder: Path) -> Sources:
    """forget10 and retain90 of TOFU; or the last rows of forget10, of which the last ones are forgotten."""
    source = where or TOFU
    if not rows:
        return _texts(f"{source}:full", f"{source}:forget10", f"{source}:retain90")
    own = read_rows(f"{source}:forget10", role=f"--data {data}")
    return _written(folder, _last(own, rows, source), rows["forget"], _question)


def _muse_news(data: str, where: str | None, rows: Mapping[str, int], folder: Path) -> Sources:
    """The passages to forget and those of retain1; or the beginnings of a few of the first and of PrivLeak's retain."""
    place = f"{MUSE}:" if where is None else f"{MUSE}:{where}:"
    if not rows:
        forget, retain = (read_rows(f"{place}{part}", role=f"--data {data}") for part in ("forget", "retain1"))
        return _written(folder, [*retain, *forget], len(forget), _passage)
    count = rows["all"] - rows["forget"]
    forget = read_rows(f"{place}forget", role=f"--data {data}")
    retain = read_rows(f"{place}privleak/retain", role=f"--data {data}")
    long = [row for row in forget if len(row.answer.split()) >= _WORDS]
    some = [*_last(retain, {"all": count}, place), *_last(long, {"all": rows["forget"]}, place)]
    return _written(folder, some, rows["forget"], lambda row: _passage(row, _WORDS))


def _images(data: str, where: str | None, rows: Mapping[str, int], folder: Path) -> Sources:
    """All images; or a few of each class, and of a few classes, in a file of arrays."""
    source = where or data
    if "each" in rows:
        source = _some_images(data, where, rows, folder)
    return Sources(
        {"dataset": source},
        {"dataset": source, "forget_class": PAPER_CLASS[data], "forget_rows": rows.get("forget")},
    )


_PREPARE: dict[str, Callable[[str, str | None, Mapping[str, int], Path], Sources]] = {
    "tofu": _tofu,
    "muse-news": _muse_news,
    "cifar10": _images,
    "cifar100": _images,
}


def _texts(full: str, forget: str, retain: str) -> Sources:
    return Sources({"train": full}, {"forget": forget, "retain": retain})


def _last(rows: Sequence[Row], wanted: Mapping[str, int], source: str) -> Sequence[Row]:
    if len(rows) < wanted["all"]:
        raise InputError(f"{source}: {len(rows)} rows, and {wanted['all']} are needed")
    return rows[-wanted["all"] :]


def _written(folder: Path, rows: Sequence[Row], forget: int, record: Callable[[Row], Mapping[str, Any]]) -> Sources:
    """Files of all rows, of the last ones, which are forgotten, and of the others."""
    files = {}
    for name, own in (("full", rows), ("forget", rows[-forget:]), ("retain", rows[:-forget])):
        files[name] = folder / f"{name}.jsonl"
        write_text(files[name], json_lines(map(record, own)), private=True)
    return _texts(*(str(files[name]) for name in ("full", "forget", "retain")))


def _question(row: Row) -> dict[str, Any]:
    other = {"paraphrased_answer": row.paraphrased_answer, "perturbed_answer": list(row.perturbed_answers)}
    return {"question": row.prompt, "answer": row.answer, **{name: value for name, value in other.items() if value}}


def _passage(row: Row, words: int | None = None) -> dict[str, Any]:
    return {"text": row.answer if words is None else " ".join(row.answer.split()[:words])}


def _some_images(data: str, where: str | None, rows: Mapping[str, int], folder: Path) -> str:
    """A file with the first `each` training images of `classes` classes, and a fifth as many test images."""
    import numpy as np

    if where is None or not where.endswith(".npz"):
        raise InputError(
            f"--scale tiny takes a few images of {data} from a .npz file: give --data FOLDER with {data}.npz "
            "(x_train, y_train, x_test, y_test, class_names; see docs/images.md)"
        )
    arrays, _ = read_arrays(Path(where), ["x_train", "y_train", "x_test", "y_test", "class_names"])
    lacking = [name for name in ("x_train", "y_train", "x_test", "y_test", "class_names") if name not in arrays]
    names = [] if lacking else [str(name) for name in arrays["class_names"]]
    if lacking or PAPER_CLASS[data] not in names:
        raise InputError(f"{where}: lacks {', '.join(lacking) or 'the class ' + PAPER_CLASS[data]}")
    kept = sorted({*range(rows["classes"] - 1), names.index(PAPER_CLASS[data])})
    kept = kept if len(kept) == rows["classes"] else sorted({*kept, rows["classes"] - 1})
    made: dict[str, Any] = {"class_names": np.array([names[label] for label in kept])}
    for part, count in (("train", rows["each"]), ("test", max(1, rows["each"] // 5))):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in kept]))
        made[f"x_{part}"], made[f"y_{part}"] = images[chosen], np.searchsorted(kept, labels[chosen])
    content = io.BytesIO()
    np.savez(content, **made)
    file = folder / f"{data}.npz"
    write_bytes(file, content.getvalue(), private=True)
    return str(file)
