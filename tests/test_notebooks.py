"""The notebooks of `examples/notebooks`: without outputs and places, linked in the documentation, and run."""

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
NEEDED = ("nbclient", "nbformat", "ipykernel")


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def code(path: Path) -> str:
    """All code, without the lines that only a notebook understands."""
    return re.sub(r"^%.*$", "", "\n".join("".join(cell["source"]) for cell in cells(path, "code")), flags=re.MULTILINE)


each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare_methods", "own_data"]


@each
def test_no_outputs_are_stored(path: Path) -> None:
    assert [cell["id"] for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"]] == []
    assert json.loads(path.read_text(encoding="utf-8"))["metadata"].keys() == {"kernelspec", "language_info"}


@each
def test_no_place_on_a_machine_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|tmp|Users|mnt|work)/|~/|\b[A-Z]:\\", text) == []
    strings = [node.value for node in ast.walk(ast.parse(code(path))) if isinstance(node, ast.Constant)]
    assert [text for text in strings if isinstance(text, str) and text.startswith(("/", "~"))] == []


@each
def test_a_reader_is_told_whom_it_is_for_and_what_each_part_does(path: Path) -> None:
    first, *texts = ["".join(cell["source"]) for cell in cells(path, "markdown")]
    title, _, whom, *_ = first.splitlines()
    assert title.startswith("# ")
    assert whom.startswith("For ")
    assert all(len(text.split()) < 120 for text in texts)


@each
def test_it_is_linked_from_the_contents_and_from_the_page_on_python(path: Path) -> None:
    for page in ("index.md", "python.md"):
        assert f"../examples/notebooks/{path.name}" in (ROOT / "docs" / page).read_text(encoding="utf-8")


@each
@pytest.mark.slow
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED),
    reason=f"needs {', '.join(NEEDED)}: pip install '.[notebooks]'",
)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    done = NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [form for cell in done.cells for output in cell.get("outputs", ()) for form in output.get("data", ())]
    assert {"text/html", "image/png"} <= set(shown)
    (page,) = tmp_path.glob("*/report.html")
    assert page.read_text(encoding="utf-8").startswith("<!")
