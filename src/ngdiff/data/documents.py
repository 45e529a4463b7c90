"""Documents: text files, each of which is one row, named by its file in reports."""

from collections.abc import Sequence
from pathlib import Path

from ngdiff.data.compressed import stem_and_kind
from ngdiff.data.files import DOCUMENTS, read_text
from ngdiff.data.rows import Chunk, Row
from ngdiff.data.values import text_of
from ngdiff.errors import InputError
from ngdiff.own_folders import without_runs
from ngdiff.paths import existing_path, matching_files

CHUNK = Chunk(tokens=512, overlap=64)


def is_document(path: Path) -> bool:
    """Whether a file is read as a document, by its name."""
    return stem_and_kind(path)[1] in DOCUMENTS


def documents_in(folder: Path) -> list[Path]:
    """All documents below a folder, sorted by path, without hidden ones and those that runs of ngdiff wrote."""
    found = (path for path in folder.rglob("*") if is_document(path) and path.is_file())
    shown = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(without_runs(shown, folder))


def files_named(pattern: str | Path) -> list[Path]:
    """The files that a pattern names, sorted by path, without documents that runs of ngdiff wrote.

    Where `**` looks into all folders, other files of runs are left out, too.

    Raises:
        InputError: as `ngdiff.paths.user_path`.
    """
    found = matching_files(pattern)
    kept = set(without_runs(found, existing_path(pattern) or Path()))
    anywhere = "**" in Path(pattern).parts
    return [path for path in found if path in kept or not (anywhere or is_document(path))]


def check_chunk(tokens: int | None, overlap: int | None) -> Chunk | None:
    """How texts are split into chunks; None by default.

    Raises:
        InputError: a length below 2, or an overlap beyond half of it.

    >>> check_chunk(400, None), check_chunk(None, 10)
    (Chunk(tokens=400, overlap=50), None)
    """
    size = CHUNK.tokens if tokens is None else tokens
    if size < 2:
        raise InputError(f"--chunk-tokens {size} is not 2 or more")
    if overlap is not None and not 0 <= overlap <= size // 2:
        raise InputError(f"--chunk-overlap {overlap} is not from 0 to half of --chunk-tokens, {size // 2}")
    return None if tokens is None else Chunk(tokens, tokens // 8 if overlap is None else overlap)


def read_documents(paths: Sequence[Path], chunk: Chunk = CHUNK) -> list[Row]:
    """One row for each file, in order, which is learned and measured in chunks.

    Raises:
        InputError: a file that cannot be read, is not UTF-8, or holds no text; names it.
    """
    return [_read(path, chunk) for path in paths]


def _read(path: Path, chunk: Chunk) -> Row:
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty; leave it out.")
    # The line ending at the end of a file is not part of the text.
    text = text_of(text.rstrip("\r\n"), "text", str(path))
    return Row("", text, origin=str(path), kind="text", document=str(path), chunk=chunk)
