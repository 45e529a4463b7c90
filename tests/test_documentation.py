"""The pages of docs/: whom each is for, links that lead somewhere, commands that exist, no need of the log."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli.main import COMMANDS
from ngdiff.cli.parsing import CommandParser

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINKING = [*PAGES, *(ROOT / "docs" / "dev").glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("[be]*/*.md")]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_first_sentence_says_whom_a_page_is_for(page: Path) -> None:
    title, _, first, *_ = page.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert first.startswith("For ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_sends_its_reader_to_the_log(page: Path) -> None:
    assert "log.md" not in page.read_text(encoding="utf-8")


def test_every_page_is_in_the_contents_of_the_site() -> None:
    lines = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    assert [page.stem for page in PAGES if page.stem not in lines] == ["index"]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_the_tests_named_for_each_fault_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


class Understood(Exception):
    """A command line was parsed."""


@pytest.fixture
def parsed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where their options are read."""
    parse = CommandParser.parse

    def then_end(self: CommandParser, words: Any) -> None:
        parse(self, words)
        raise Understood

    monkeypatch.setattr(CommandParser, "parse", then_end)


def commands_of(page: Path) -> list[str]:
    """The `ngdiff` commands in the code blocks of a page, but for those that leave something out."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    blocks = [
        *re.findall(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE),
        *re.findall(r"^ {4}.*$", text, flags=re.MULTILINE),
    ]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("ngdiff ") and " ..." not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("parsed_only")
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in commands_of(page):
        _, name, *words = shlex.split(line.partition(" < ")[0], comments=True)
        with pytest.raises(Understood):
            import_module(f"ngdiff.cli.{COMMANDS[name][0]}").run(words)


def test_the_example_of_the_method_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(example, "docs/method.md", "exec"), {})
    assert capsys.readouterr().out.split() == re.findall(r"# ([\d.]+):", example) == ["1.0", "1.5"]
