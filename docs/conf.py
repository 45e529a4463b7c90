"""Settings of the documentation site: `make docs` builds it from the pages of this folder."""

import sys
from pathlib import Path

from ngdiff import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "ngdiff"
author = copyright = "The ngdiff developers"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "markdown_docstrings",
    "public_names",
    "repository_links",
]
exclude_patterns = ["_extensions"]

# Links such as `methods.md#long-rows` are those of GitHub, which makes an anchor of every heading.
myst_heading_anchors = 4
# A block that names no language is a command line or output.
highlight_language = "none"
# They would make a dash of the two in front of an option.
smartquotes = False

autodoc_member_order = "alphabetical"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Types of other packages, whose sites a build does not ask for their links, and names that are not public.
nitpick_ignore_regex = [(r"py:.*", r".*")]

html_theme = "furo"
html_title = f"ngdiff {release}"
html_copy_source = False
html_show_sphinx = False
