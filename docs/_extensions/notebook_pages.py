"""A notebook as a page: its text cells, and its code cells as blocks of code."""

import json
from pathlib import Path


def notebook_as_markdown(path: Path, root: Path) -> str:
    """The cells in order, and below the title where the notebook is.

    Args:
        path: The notebook.
        root: Folder of the repository.
    """
    title, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = ["".join(title["source"]), f"This page is the notebook `{path.relative_to(root).as_posix()}`."]
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n"
