"""Docstrings are written with the marks of Markdown; Sphinx reads reStructuredText."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_CODE = re.compile(r"(`[^`]+`)")
# Marks of reStructuredText that mean themselves here: of substitutions, emphasis, and references (`name_`).
_MARKS = re.compile(r"([|*\\])|(?<=\w)(_)(?!\w)")
# The first item of a list that follows its sentence without a blank line.
_LIST = re.compile(r"\A((?!\s*- )[^\n]*(?:\n(?!\s*- )[^\n]*)*)\n(\s*- )")


def as_restructured_text(lines: list[str]) -> list[str]:
    """Code in double backticks, other marks escaped; examples (`>>>` and what follows) stay as they are."""
    text: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            continue
        if paragraph:
            text += paragraph if paragraph[0].lstrip().startswith(">>>") else _converted("\n".join(paragraph))
        text.append(line)
        paragraph = []
    return text[:-1] if not lines or lines[-1].strip() else text


def _converted(paragraph: str) -> list[str]:
    pieces = _CODE.split(paragraph)  # code, which may go on in the next line, is every second one
    for i, piece in enumerate(pieces):
        if i % 2:
            # A backslash and a space stand for nothing, and let code touch a letter or a sign.
            apart = "\\ " if re.search(r"[^\s(\[{<\"'/:-]$", pieces[i - 1]) else ""
            pieces[i] = f"{apart}`{piece}`" + ("\\ " if re.match(r"\w", pieces[i + 1]) else "")
        else:
            pieces[i] = _MARKS.sub(r"\\\g<0>", piece)
    return _LIST.sub(r"\1\n\n\2", "".join(pieces), count=1).split("\n")


def _process(app: Sphinx, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    lines[:] = as_restructured_text(lines)
    if what in ("property", "attribute", "data"):
        # Napoleon takes the words before a colon in the first line for a type: an empty comment comes first.
        lines[:0] = ["..", ""]


def _skip(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Fields of named tuples, which say nothing of themselves, are left out."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None


def _join(app: Sphinx, page: nodes.document) -> None:
    """A dash between a parameter and its description: Sphinx writes two hyphens, for the smart quotes that are off."""
    for text in list(page.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _process, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _join)
    return {"parallel_read_safe": True}
