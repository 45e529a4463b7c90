"""Pages from plain data: HTML in one file that loads nothing, or Markdown. Every text in them is escaped."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ngdiff.scoring.formats import escape_markdown

TEMPLATES = Path(__file__).parent / "templates"
FORMATS = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown"}

# Several blank lines; or a block of code, whose blank lines stay.
_BLANK_LINES = re.compile(r"^(`{3,})[^`\n]*\n.*?^\1$|\n{3,}", re.MULTILINE | re.DOTALL)


def page(name: str, form: str, **content: Any) -> str:
    """A page.

    Args:
        name: Of the template: `request`, `comparison` or, in Markdown alone, `card`.
        form: `html` or `markdown`.
        content: What the template shows.
    """
    if form == "markdown":
        text = _markdown().get_template(f"{name}.md.j2").render(**content)
        return _BLANK_LINES.sub(lambda found: found[0] if found[1] else "\n\n", text).strip() + "\n"
    style, script = (TEMPLATES.joinpath(file).read_text(encoding="utf-8") for file in ("page.css", "page.js"))
    # The browser runs and applies these two texts and nothing else, whatever a model wrote.
    policy = f"default-src 'none'; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; img-src data:"
    own = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return _html().get_template(f"{name}.html.j2").render(**content, **own)


def fenced(text: str, language: str) -> Markup:
    """A block of code in Markdown, word for word: its fence is longer than any in the text.

    >>> print(fenced("a ``` b", "text"))
    ````text
    a ``` b
    ````
    """
    longest = max([2, *(len(run) for run in re.findall("`+", text))])
    fence = "`" * (longest + 1)
    return Markup(f"{fence}{language}\n{text}\n{fence}")


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _html() -> Environment:
    return _environment(autoescape=True)


@cache
def _markdown() -> Environment:
    environment = _environment(autoescape=False, finalize=_in_markdown)
    environment.filters["fenced"] = fenced
    return environment


def _environment(**options: Any) -> Environment:
    loader: BaseLoader = FileSystemLoader(TEMPLATES)
    return Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, **options)


def _in_markdown(value: Any) -> Any:
    """The value of `{{ }}`: without line breaks, which end a table, and without anything that Markdown acts on."""
    if isinstance(value, Markup):
        return value
    return escape_markdown(re.sub(r"\s*[\r\n]+\s*", " ⏎ ", str(value)))
