"""`ngdiff compare`: evaluations in, one table out."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ngdiff.cli import main
from ngdiff.scoring import FORMATS, compare, read_runs


def write(folder: Path, verbmem: float, **more: Any) -> Path:
    folder.mkdir()
    metrics = {"forget": {"n": 2, "rouge_l_recall": verbmem, "loss": 1.0}, **more}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [str(write(tmp_path / "gdiff", 0.5)), f"ngdiff={write(tmp_path / 'x', 0.25, model_utility=0.5)}"]


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["compare", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


def test_the_table_is_printed(runs: list[str], capsys) -> None:
    assert main(["compare", *runs]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "        Verbmem ↓  model utility ↑",
        "gdiff      0.5000                -",
        "ngdiff     0.2500           0.5000",
        "note: without a --reference, a model that never saw the forget set, no value of a forget set is best: lower "
        "than that of such a model is no better",
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_printed_and_to_a_file(form: str, runs: list[str], tmp_path: Path, capsys) -> None:
    assert main(["compare", *runs, "--format", form]) == 0
    expected = FORMATS[form](compare(read_runs(runs)))
    assert capsys.readouterr().out == expected
    target = tmp_path / "table"
    assert main(["compare", f"--format={form}", "--output", str(target), *runs]) == 0
    assert target.read_text(encoding="utf-8") == expected
    assert capsys.readouterr().out == f"Written to {target}\n"


def test_columns_and_reference(runs: list[str], capsys) -> None:
    words = ["--metrics", "forget.loss, forget.rouge_l_recall", "--reference", "ngdiff", "--format", "csv"]
    assert main(["compare", *runs, *words]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "method,forget.loss,forget.rouge_l_recall,over_forgotten"
    assert main(["compare", *runs, "--reference", "ngdiff"]) == 0
    assert "*" not in capsys.readouterr().out


def test_several_references_are_all_kept(runs: list[str], tmp_path: Path, capsys) -> None:
    """The first was forgotten in silence."""
    made = {"level": 0.95, "sets": {"forget": {"rouge_l_recall": [0.3, 0.6]}}}
    more = [f"{name}={write(tmp_path / name, value, confidence=made)}" for name, value in (("A", 0.4), ("B", 0.48))]
    words = ["--metrics", "forget.rouge_l_recall", "--reference", "A", *runs, "--reference=B", *more]
    assert main(["compare", *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "        Verbmem →0.4..0.48",
        "gdiff               0.5000*",
        "ngdiff              0.2500",
        "A                   0.4000",
        "B                   0.4800",
        "* best of its column",
        "note: ngdiff is over-forgotten, beyond the 95 % interval of A, B: Verbmem 0.2500 < 0.3000",
        "note: no D; ngdiff score RUN --retrained RUN --before RUN --output FILE adds it to a metrics.json",
    ]
    config = tmp_path / "c.yaml"
    config.write_text("reference: [A, B]\nmetrics: forget.rouge_l_recall\n")
    assert main(["compare", "--config", str(config), *runs, *more]) == 0
    assert "→0.4..0.48" in capsys.readouterr().out
    assert fails(capsys, *runs, "--reference", "gold", "--reference", "gdiff").startswith("the reference 'gold' is not")


def test_curves_of_runs_over_k(tmp_path: Path, capsys) -> None:
    runs = [f"ngdiff@{k}={write(tmp_path / str(k), 0.1 * k)}" for k in (1, 2, 3)]
    assert main(["compare", *runs, "--figure", str(tmp_path / "k.png")]) == 0
    with Image.open(tmp_path / "k.png") as image:
        assert image.format == "PNG"
    assert "ngdiff@3" in capsys.readouterr().out


def test_what_cannot_be_used(runs: list[str], tmp_path: Path, capsys) -> None:
    there = tmp_path / "table.md"
    there.write_text("mine")
    assert fails(capsys) == "ngdiff compare needs RUN..."
    assert fails(capsys, *runs, "--format", "html") == "--format html is not known; one of text, markdown, csv, latex"
    assert fails(capsys, *runs, "--reference", "gold").startswith("the reference 'gold' is not among the runs")
    assert fails(capsys, *runs, "--metrics", "x").startswith("metric 'x' is in none of the runs")
    assert (
        fails(capsys, *runs, "--output", there) == f"--output {there} exists; choose another file, or give --overwrite."
    )
    assert fails(capsys, *runs, "--figure", there).startswith(f"--figure {there} exists")
    assert fails(capsys, *runs, "--figure", tmp_path / "k.png").startswith("run 'gdiff': a curve needs runs named")
    assert not (tmp_path / "k.png").exists()
    assert there.read_text() == "mine"
    assert main(["compare", "--overwrite", *runs, "--output", str(there)]) == 0
    assert "Verbmem" in there.read_text(encoding="utf-8")
