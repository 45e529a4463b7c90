"""Links that work on GitHub, as the site needs them: files outside `docs` are pages of their own, or plain text."""

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
# File outside `docs` -> name of the page in `docs/generated` that `generated_pages` copies it to.
COPIED = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "benchmarks/README.md": "benchmarks",
    "examples/README.md": "examples",
    "examples/notebooks/own_data.ipynb": "notebook-own-data",
    "examples/notebooks/compare_methods.ipynb": "notebook-compare-methods",
}

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def with_site_links(text: str, source: Path, page: Path) -> str:
    """Text of a page with links to files outside `docs` replaced.

    Args:
        text: Markdown.
        source: File that its links are relative to.
        page: Where it stands in `docs`.
    """

    def replaced(match: re.Match[str]) -> str:
        label, link = match.groups()
        file, mark, anchor = link.partition("#")
        if "://" in link or not file:
            return match[0]
        target = (source.parent / file).resolve()
        if target.is_relative_to(ROOT) and (name := COPIED.get(target.relative_to(ROOT).as_posix())):
            target = GENERATED / f"{name}.md"
        if not target.is_relative_to(DOCS):
            return label
        return f"[{label}]({os.path.relpath(target, page.parent)}{mark}{anchor})"

    return _LINK.sub(replaced, text)


def _read(app: Sphinx, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md" and page.parent != GENERATED:
        content[0] = with_site_links(content[0], page, page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
