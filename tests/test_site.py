"""The documentation site: built as `make docs` does it, without a warning."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ngdiff.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
NEEDED = ("sphinx", "myst_parser", "furo")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in NEEDED),
        reason=f"needs {', '.join(NEEDED)}: pip install '.[docs]', or make docs",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-n", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, ROOT / "docs", folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_there(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").glob("**/*.md")}
    assert all((site / page).is_file() for page in pages)


def test_the_help_of_every_command_is_there(site):
    page = (site / "generated" / "commands.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"usage: ngdiff {name}" not in page] == []


def test_exported_names_have_entries(site):
    page = (site / "generated" / "ngdiff.training.html").read_text(encoding="utf-8")
    assert 'id="ngdiff.training.UnlearnTrainer"' in page
    # Docstrings are read as Markdown: code is code.
    assert '<code class="docutils literal notranslate"><span class="pre">UnlearnConfig</span></code>' in page


def test_docstrings_of_properties_are_whole(site):
    page = (site / "generated" / "ngdiff.commands.html").read_text(encoding="utf-8")
    assert "metrics.json</span></code>: by set" in page
    assert " -- " not in page


def test_fields_of_named_tuples_have_no_entries(site):
    assert "Alias for field" not in (site / "generated" / "ngdiff.metrics.html").read_text(encoding="utf-8")


def test_links_to_files_outside_lead_to_their_pages(site):
    assert 'href="generated/examples.html"' in (site / "distributed.html").read_text(encoding="utf-8")
