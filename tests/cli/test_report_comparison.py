"""`ngdiff report` of several runs: folders in, one page out."""

import json
import re
from pathlib import Path

import pytest

from ngdiff.cli import main

from ..report.made import make_evaluation, make_run, make_sweep

SCRIPT = "<script>alert(1)</script> & | *b* [a](javascript:alert(2))"


def page_of(target: Path, *words: object) -> str:
    assert main(["report", *map(str, words), "--output", str(target), "--overwrite"]) == 0
    return target.read_text(encoding="utf-8")


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["report", *map(str, words)]) == 2
    return capsys.readouterr().err.removeprefix("ngdiff: error: ").rstrip("\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with their evaluations, the models before and retrained, and a sweep."""
    folder = tmp_path_factory.mktemp("made")
    for name, recall in (("one", 0.25), ("two", 0.5)):
        make_evaluation(folder / f"scores {name}", make_run(folder / name, name), recall=recall)
    make_evaluation(folder / "before", recall=1.0, loss=0.1)
    make_evaluation(folder / "retrained", recall=0.25, loss=4.0)
    make_sweep(folder / "sweep")
    return folder


def headings(page: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)">', page)


def rows_of(page: str) -> list[str]:
    """Names in the first table."""
    return re.findall(r'<tr><th scope="row">([^<]*)', page.split("</table>")[0])


def test_runs_with_the_models_that_they_are_compared_with(place: Path, tmp_path: Path) -> None:
    others = ("--before", place / "before", "--retrained", place / "retrained")
    page = page_of(tmp_path / "p.html", place / "one", f"2nd={place / 'scores two'}", *others)
    assert headings(page) == ["numbers", "tradeoff", "curves", "probes", "all", "setups", "limits"]
    assert rows_of(page) == ["one", "2nd", "before", "retrained"]
    assert page.count('<figure class="chart">') == 1 + 5 + 2
    assert "D (retrained) ↓" in page  # computed from the records
    assert "one is over-forgotten" in page or "nearest to never seen" in page
    assert len(page.encode()) < 200_000


def test_a_sweep_has_a_row_for_each_method_and_one_for_each_run(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.html", place / "sweep")
    assert headings(page)[-5:] == ["probes", "runs", "all", "setups", "limits"]
    assert rows_of(page) == ["method=ngdiff", "method=npo", "method=gd", "before", "retrained"]
    assert "± " in page
    assert "Means over n seeds" in page
    assert page.count("<tr data-searched>") == 15
    legend = re.findall(r'<ul class="legend">(.*?)</ul>', page, flags=re.DOTALL)[0]
    assert re.findall(r"</svg> ([^<\n]*)", legend) == ["method=ngdiff", "method=npo", "method=gd"]
    assert page.count('class="line s0"') > 3  # a line for each seed


def test_the_model_before_is_never_the_best(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.html", place / "one", place / "two", "--before", place / "before")
    table = page.split("</table>")[0]
    assert "★" in table
    assert "★" not in table.split("before")[-1]


def test_markdown_has_the_same_sections_and_whole_tables(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.md", place / "sweep", place / "one")
    for title in ("What counts", "What forgetting cost", "Step by step", "Single runs", "All numbers"):
        assert f"## {title}" in page
    for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_names_stay_texts(place: Path, tmp_path: Path) -> None:
    words = [f"{SCRIPT} {name}={place / name}" for name in ("one", "two")]
    page = page_of(tmp_path / "p.html", *words)
    assert page.count("<script") == 1  # our own
    assert "&lt;script&gt;alert(1)" in page
    assert re.findall(r'(?:src|href)="(?!#|data:)', page) == []
    markdown = page_of(tmp_path / "p.md", *words)
    assert re.findall(r"(?<!\\)<", markdown) == []
    assert "[a](" not in markdown


def test_many_runs_stay_below_three_megabytes(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path / "sweep", tuple(f"m{i}" for i in range(12)), seeds=2)
    for log in sweep.rglob("training_log.json"):
        content = json.loads(log.read_text())
        rows = [{**content["steps"][0], "step": i, "loss_forget": float(i * 7919 % 1000)} for i in range(2000)]
        log.write_text(json.dumps({**content, "steps": rows}))
    page = page_of(tmp_path / "p.html", sweep)
    assert len(page.encode()) < 3_000_000
    assert "Not drawn, as more lines cannot be told apart: method=m8, method=m9" in page


def test_a_row_that_is_another_run_s_reference(place: Path, tmp_path: Path, capsys) -> None:
    page = page_of(tmp_path / "p.html", place / "one", f"never={place / 'retrained'}", "--reference", "never")
    assert '<th scope="row">never<span class="i soft small">retrained</span>' in page
    words = (place / "one", f"never={place / 'retrained'}", "--retrained", place / "retrained")
    assert rows_of(page_of(tmp_path / "p.html", *words)) == ["one", "never"]  # no second row of the same file
    message = fails(capsys, place / "one", place / "two", "--reference", "x", "--output", tmp_path / "n.html")
    assert message == "--reference x: no run is called so; one of one, two"


def test_other_rows_are_named(place: Path, tmp_path: Path) -> None:
    data = {"forget": {"source": "x", "files": {}, "rows": 4, "rows_sha256": "0" * 64}}
    make_evaluation(tmp_path / "other", data=data)
    page = page_of(tmp_path / "p.html", place / "scores one", tmp_path / "other")
    assert "forget rows differ by their hashes between these runs" in page


def test_what_cannot_be_used(place: Path, tmp_path: Path, capsys) -> None:
    target = ("--output", tmp_path / "p.html")
    assert "two runs are called 'one'" in fails(capsys, place / "one", place / "one", *target)
    assert "--scores x is for one run" in fails(capsys, place / "one", place / "two", "--scores", "x", *target)
    assert "--include-texts is for one run" in fails(capsys, place / "one", place / "two", "--include-texts", *target)
    assert "is for a comparison" in fails(capsys, place / "one", "--reference", "x", *target)
    assert "ngdiff compare --format latex" in fails(capsys, place / "one", place / "two", "--format", "latex", *target)
    assert "no such file or folder" in fails(capsys, place / "one", tmp_path / "nowhere", *target)
    (place / "one" / "report" / "training_log.json").rename(place / "one" / "report" / "kept")
    (place / "one" / "report" / "training_log.json").write_text("{")
    assert "training_log.json is damaged" in fails(capsys, place / "one", place / "two", *target)
    (place / "one" / "report" / "kept").rename(place / "one" / "report" / "training_log.json")
    assert not (tmp_path / "p.html").exists()
    inputs = (place / "sweep" / "sweep.json", place / "scores one" / "metrics.json")
    for file in inputs:
        words = (place / "sweep", place / "one", "--format", "html", "--output", file, "--overwrite")
        assert "choose another" in fails(capsys, *words)
