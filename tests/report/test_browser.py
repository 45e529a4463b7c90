"""Pages in a real browser: charts are drawn, tables sort, search finds, paper gets all, nothing is loaded or run."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main

from .made import make_evaluation, make_run, make_sweep

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
NAME = "<script>alert(0)</script>"
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'ngdiff[browser]'")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with api.sync_playwright() as playwright:
        try:
            # Without its sandbox, which needs rights that containers withhold: the pages are our own.
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium to start: apt-get install chromium, or playwright install chromium ({error})")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, with hostile names and texts."""
    folder = tmp_path_factory.mktemp("pages")

    def hostile(records: list[dict[str, Any]]) -> None:
        records[0]["generated"] = SCRIPT

    run = make_run(folder / "run", config={"method": SCRIPT})
    make_evaluation(folder / "scores", run, change=hostile, holdout=True)
    others = []
    for name, recall, loss in (("before", 1.0, 0.1), ("retrained", 0.25, 4.0)):
        others += [f"--{name}", str(make_evaluation(folder / name, recall=recall, loss=loss, holdout=True))]
    make_sweep(folder / "sweep")
    made = {"request": folder / "request.html", "comparison": folder / "comparison.html"}
    texts = ["--include-texts"]
    assert main(["report", f"{NAME}={run}", *others, *texts, "--output", str(made["request"])]) == 0
    words = [str(folder / "sweep"), f"{NAME}={folder / 'scores'}"]
    assert main(["report", *words, "--output", str(made["comparison"])]) == 0
    return made


class Open:
    """A page on a screen; `noise`: what it wrote to the console, asked from elsewhere, or opened as a dialog."""

    def __init__(self, browser: Any, path: Path, screen: str) -> None:
        self.page, self.noise = browser.new_page(**SCREENS[screen]), list[str]()
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noise.append(dialog.message))
        self.page.on("request", lambda one: self.noise.append(one.url) if "file://" not in one.url[:7] else None)
        self.page.goto(path.as_uri())


@pytest.fixture(params=[(kind, screen) for kind in ("request", "comparison") for screen in SCREENS], ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    kind, screen = request.param
    found = Open(browser, pages[kind], screen)
    yield found
    found.page.close()


def test_every_chart_is_drawn_and_nothing_else_happens(opened: Open) -> None:
    charts = opened.page.query_selector_all("figure.chart > svg")
    assert len(charts) >= 5
    for chart in charts:
        box = chart.bounding_box()
        assert box["width"] > 250
        assert box["height"] > 100
        lengths = chart.eval_on_selector_all("path", "all => all.map(path => path.getTotalLength())")
        assert any(length > 10 for length in lengths) or chart.query_selector_all(".mark, .dot")
        outside = chart.eval_on_selector_all(
            "path, circle, rect, text",
            "all => all.filter(e => { const b = e.getBBox();"
            " return b.x < -1 || b.y < -1 || b.x + b.width > 481 || b.y + b.height > 271; }).map(e => e.outerHTML)",
        )
        assert outside == []
    assert opened.noise == []


def test_the_page_fits_its_screen(opened: Open) -> None:
    wide, screen = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= screen
    smallest = opened.page.eval_on_selector_all(
        "figure.chart > svg text", "all => Math.min(...all.map(text => text.getBoundingClientRect().height))"
    )
    assert smallest >= 9  # pixels


def test_by_keyboard(opened: Open) -> None:
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    opened.page.focus("table.sortable th button")
    opened.page.keyboard.press("Enter")
    assert opened.page.get_attribute("table.sortable th", "aria-sort") == "ascending"


def test_on_paper_everything_is_folded_out(opened: Open, tmp_path: Path) -> None:
    printed = opened.page.pdf(path=str(tmp_path / "page.pdf"))
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
    assert opened.page.eval_on_selector_all("details", "all => all.every(one => one.open)")
    assert opened.noise == []


def test_a_table_sorts_by_numbers(browser: Any, pages: dict[str, Path]) -> None:
    opened = Open(browser, pages["comparison"], "desktop")
    table, column = "table.compared >> nth=0", 4
    button = opened.page.locator("table.compared").first.locator(f"thead th:nth-child({column}) button")
    for direction, order in (("ascending", 1), ("descending", -1)):
        button.click()
        rows = opened.page.locator(table).locator(f"tbody tr td:nth-child({column})")
        values = [float(value) for value in rows.evaluate_all("all => all.map(c => c.dataset.value)") if value]
        assert len(set(values)) > 1
        assert values == sorted(values, key=lambda value: order * value)
        head = opened.page.locator(table).locator(f"thead th:nth-child({column})")
        assert head.get_attribute("aria-sort") == direction


@pytest.mark.parametrize(("kind", "word"), [("request", "question 2"), ("comparison", "npo seed=1")])
def test_search_finds_rows(browser: Any, pages: dict[str, Path], kind: str, word: str) -> None:
    opened = Open(browser, pages[kind], "desktop")
    rows = opened.page.locator("[data-searched]")
    total = rows.count()
    opened.page.fill("#search", word)
    shown = rows.locator("visible=true").all_inner_texts()
    assert 0 < len(shown) < total
    assert all(part in text.lower() for text in shown for part in word.split())
    assert opened.page.inner_text("#found") == f"{len(shown)} of {total} rows"
    opened.page.fill("#search", "no such row")
    assert opened.page.inner_text("#found") == f"0 of {total} rows"
    opened.page.fill("#search", "<script>")
    assert opened.noise == []
