"""`ngdiff verify`: hash all inputs and outputs of a run again and compare them with its manifest."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ngdiff.checksums import LIST, wrong_files
from ngdiff.errors import InputError
from ngdiff.evidence.inputs import Input, inputs_of
from ngdiff.evidence.seal import SEAL, read_sealed
from ngdiff.file_names import CONFIG, MANIFEST, PRIVATE
from ngdiff.hashes import sha256_file

Digest = Callable[[Path], str]  # of a file

_MADE = "auto: "  # how the source of rows begins that ngdiff has made itself

# Files that are loaded with a model: none may be there that the run did not write.
READ_WITH_A_MODEL = (".safetensors", ".json", ".model", ".jinja", ".py", ".bin")


@dataclass(frozen=True)
class Check:
    """A row of the table: some files of one kind.

    Attributes:
        what: Their description.
        files: How many were compared.
        faults: Files that differ from the manifest, one message for each.
        note: What could not be compared, and why.
        was_read: The run read these files; it wrote all others.
    """

    what: str
    files: int
    faults: tuple[str, ...] = ()
    note: str = ""
    was_read: bool = False


def verify(folder: Path) -> list[Check]:
    """Compare the inputs and outputs of a run, and of the runs that it continued from, with their manifests.

    The hashes are SHA-256. A manifest contains its own seal, which detects damage and accidental changes. It does not
    detect deliberate ones, because anyone can compute a new seal: for that, compare the seal with a copy kept
    elsewhere.

    Args:
        folder: The output folder of the run.

    Raises:
        InputError: no manifest, or that of a run that has not ended.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} contains no {MANIFEST} of a run of ngdiff")
    digest = cache(sha256_file)  # sets of rows may be of the same files
    checks, number = [], 0  # no chain is circular: each manifest holds the seal of the one before
    place, expected, name = folder, None, ""
    while True:
        content, own = _verify_one(place, expected, name, digest)
        checks += own
        after = content.get("after")
        if after is None:
            return checks
        number += 1
        place, expected, name = Path(after["place"]), after[SEAL], f"request before ({number}): "
        if not (place / MANIFEST).is_file():
            return [*checks, Check(f"{name}{place}", 0, note="no longer there")]


def _verify_one(folder: Path, expected: str | None, name: str, digest: Digest) -> tuple[Mapping[str, Any], list[Check]]:
    """One run of a chain: its manifest and its rows of the table."""
    manifest, fault = read_sealed(folder / MANIFEST)
    if not fault and expected is not None and manifest[SEAL] != expected:
        fault = f"its seal is not the one that the later run names: {expected} (it was changed, or is of another run)"
    if fault:
        return {}, [Check(f"{name}seal of {folder / MANIFEST}", 1, (f"{MANIFEST}: {fault}",))]
    if manifest["extra"].get("finished") is False:
        raise InputError(
            f"the run in {folder} has not ended, so its files have no hashes yet; continue it with --resume"
        )
    checks = [
        Check(f"{name}seal of {MANIFEST}", 1),
        outputs_of(folder, manifest, name),
        *_deleted(folder, manifest, name),
        *_listed(folder, name),
        *(_of_input(one, name, digest) for one in inputs_of(manifest)),
    ]
    return manifest, checks


def outputs_of(folder: Path, manifest: Mapping[str, Any], name: str = "") -> Check:
    """Check the outputs of a run, without those of a `private/` that was deleted as a whole.

    Args:
        folder: The output folder.
        manifest: The manifest of the run.
        name: The run's name in a chain.
    """
    outputs = without_deleted(folder, {**manifest["outputs"], CONFIG: manifest["config_sha256"]})
    faults = _compare({item: folder / item for item in outputs}, outputs)
    faults += [f"{item} is not of this run" for item in _added(folder, outputs)]
    return Check(f"{name}files written", len(outputs), tuple(faults))


def without_deleted(folder: Path, outputs: Mapping[str, str]) -> dict[str, str]:
    """Hashes of the outputs of a run, without those of a `private/` that was deleted as a whole."""
    kept = (folder / PRIVATE).exists()
    return {name: digest for name, digest in outputs.items() if kept or not _is_private(name)}


def _deleted(folder: Path, manifest: Mapping[str, Any], name: str) -> list[Check]:
    """A row that says that a run's texts of data were deleted, as whoever must not keep them does."""
    if (folder / PRIVATE).exists() or not any(map(_is_private, manifest["outputs"])):
        return []
    return [Check(f"{name}files written to {PRIVATE}/", 0, note="deleted: the folder is no longer there")]


def _is_private(name: str) -> bool:
    return name.startswith(f"{PRIVATE}/")


def _listed(folder: Path, name: str) -> Iterator[Check]:
    """Check the checkpoints and other folders that have checksum lists of their own."""
    for path in sorted(folder.rglob(LIST)):
        files = path.read_bytes().count(b"\n")
        faults = wrong_files(path.parent) + [f"{item} is not of this run" for item in _added(path.parent, _names(path))]
        yield Check(f"{name}{path.parent.relative_to(folder)}", files, tuple(faults))


def _names(path: Path) -> dict[str, str]:
    """The files of a list, and the list itself."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {LIST: "", **{name: digest for digest, _, name in (line.partition("  ") for line in lines)}}


def _of_input(one: Input, name: str, digest: Digest) -> Check:
    what = f"{name}{one.role}: {one.source}"
    if not one.files:
        note = "made by the run, not read" if one.source.startswith(_MADE) else "not local files: not hashed"
        return Check(what, 0, note=note, was_read=True)
    if not one.there:
        return Check(what, 0, note="no longer where it was", was_read=True)
    return Check(what, len(one.files), tuple(_compare(one.places, one.files, digest)), was_read=True)


def _compare(places: Mapping[str, Path], expected: Mapping[str, str], digest: Digest = sha256_file) -> list[str]:
    there = [name for name in expected if places[name].is_file()]
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        found = dict(zip(there, pool.map(lambda name: digest(places[name]), there), strict=True))
    wrong = [f"{name} is missing" for name in expected if name not in found]
    return wrong + [
        f"{name} is changed: expected SHA-256 {expected[name]}, found {found[name]}"
        for name in there
        if found[name] != expected[name]
    ]


def _added(folder: Path, outputs: Mapping[str, Any]) -> list[str]:
    """Files that would be loaded with a model but that the run did not write."""
    places = {Path(name).parent.as_posix() for name in outputs}
    found = (path for place in places for path in (folder / place).glob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in found if path.suffix in READ_WITH_A_MODEL}
    return sorted(name for name in names - outputs.keys() - {MANIFEST} if not Path(name).name.startswith("."))
