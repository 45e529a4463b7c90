"""Documents: text files, each a row of its own that reports name by its file."""

from collections.abc import Sequence
from pathlib import Path

from ngdiff.data.compressed import stem_and_kind
from ngdiff.data.files import read_text
from ngdiff.data.rows import Row
from ngdiff.data.values import text_of
from ngdiff.errors import InputError

DOCUMENTS = (".txt", ".md")


def is_document(path: Path) -> bool:
    """Whether a file is read as a document, by its name."""
    return stem_and_kind(path)[1] in DOCUMENTS


def documents_in(folder: Path) -> list[Path]:
    """All documents below a folder, in the order of their paths; what is hidden is left out."""
    found = (path for path in folder.rglob("*") if is_document(path) and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_documents(paths: Sequence[Path]) -> list[Row]:
    """A row of each file, in order.

    Raises:
        InputError: a file that cannot be read, is not UTF-8, or holds no text; names it.
    """
    return [_read(path) for path in paths]


def _read(path: Path) -> Row:
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if not text.strip():
        raise InputError(f"{path}: the file is empty; leave it out.")
    # A text file has a line end at its end, which is no part of the text.
    return Row("", text_of(text.rstrip("\r\n"), "text", str(path)), origin=str(path), kind="text", document=str(path))
