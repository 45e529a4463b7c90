"""Pages in `docs/generated` that are made of the code and of files outside `docs`, before each build."""

import os
import re
import textwrap
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from notebook_pages import notebook_as_markdown
from repository_links import COPIED, GENERATED, ROOT, with_site_links
from sphinx.application import Sphinx

from ngdiff.cli.main import COMMANDS, main

# Packages whose exported names are the Python interface.
PACKAGES = ("commands", "training", "data", "metrics", "evaluation", "scoring", "weighting", "objectives")


def write_pages(app: Sphinx) -> None:
    """Write all of them. A page that is as it was keeps its time, so that it is not built again."""
    GENERATED.mkdir(exist_ok=True)
    pages = {
        "commands": command_page(),
        "methods-table": methods_page(),
        "api": api_page(),
        **{f"ngdiff.{package}": package_page(package) for package in PACKAGES},
        **{name: copied_page(ROOT / source, name) for source, name in COPIED.items()},
    }
    for old in GENERATED.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = GENERATED / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def command_page() -> str:
    """Help of every command, and of those that take images also with `--task image`."""
    parts = ["# Commands", "For users: every command with its options, as `ngdiff COMMAND --help` prints them."]
    for name, (_, what) in COMMANDS.items():
        text = output_of(name, "--help")
        parts += [f"## {name}", f"{what[0].upper()}{what[1:]}.", block(text)]
        if "--task NAME" in text:
            parts += [f"### {name}, images", block(output_of(name, "--task", "image", "--help"))]
    return "\n\n".join(parts) + "\n"


def methods_page() -> str:
    """The tables of `ngdiff methods`."""
    introduction, *tables = output_of("methods").strip().split("\n\n")
    parts = [
        "# Table of methods",
        "For users: what `ngdiff methods` prints. The formulas are explained under [methods](../methods.md).",
    ]
    parts.append(block(textwrap.fill(introduction, 90)))
    for table in tables:
        title, *lines = table.splitlines()
        rows = [re.split(r" {2,}", line.strip()) for line in lines]
        parts += [
            f"## {title.partition(' (')[0].partition(',')[0].capitalize()}",
            f"`{title}`",
            "\n".join(markdown_table(rows)),
        ]
    return "\n\n".join(parts) + "\n"


def markdown_table(rows: list[list[str]]) -> Iterable[str]:
    """A table without headings; the first cell of a row is a name, the last in words."""
    yield "|" + " |" * len(rows[0])
    yield "|" + "---|" * len(rows[0])
    for first, *middle, last in rows:
        cells = [f"`{first}`", *(f"`{cell}`" for cell in middle), last]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def api_page() -> str:
    """Contents of the Python interface."""
    names = "\n".join(f"ngdiff.{package}" for package in PACKAGES)
    return f"""\
# Python interface

For users who call ngdiff [from Python](../python.md). What is listed here is public; all else may change.
`ngdiff.unlearn`, `finetune`, `evaluate` and `compare` are those of [ngdiff.commands](ngdiff.commands.md),
`ngdiff.UnlearnTrainer` and `UnlearnConfig` those of [ngdiff.training](ngdiff.training.md).

```{{toctree}}
{names}
```
"""


def package_page(package: str) -> str:
    """Exported names of a package, from their docstrings."""
    name = f"ngdiff.{package}"
    about = (
        "\n\nOptions of `UnlearnConfig` are those of [ngdiff unlearn](commands.md#unlearn)."
        if package == "training"
        else ""
    )
    return f"# {name}{about}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def copied_page(source: Path, name: str) -> str:
    """A file of the repository outside `docs`, its links as the site has them; a notebook as a page."""
    notebook = source.suffix == ".ipynb"
    text = notebook_as_markdown(source, ROOT) if notebook else source.read_text(encoding="utf-8")
    return with_site_links(text, source, GENERATED / f"{name}.md")


def output_of(*words: str) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed.
    """
    with redirect_stdout(StringIO()) as stream:
        status = main(words)
    if status != 0:
        raise RuntimeError(f"ngdiff {' '.join(words)} ended with {status}")
    return stream.getvalue()


def block(text: str) -> str:
    """Text as it is."""
    return f"```text\n{text.strip()}\n```"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    os.environ["COLUMNS"] = "100"
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
