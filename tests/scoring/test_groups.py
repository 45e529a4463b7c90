"""Runs that differ by their seed: means and t-intervals against scipy's own, in every form of the table."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from ngdiff.cli import main
from ngdiff.errors import InputError
from ngdiff.scoring import FORMATS, compare, compare_groups, read_runs, references_in

VERBMEM, UTILITY = {"a": [0.1, 0.2, 0.6], "b": [0.3, 0.4]}, {"a": [0.9, 0.8, 0.7], "b": [0.95, 0.9]}


def run(verbmem: float, utility: float | None = None, **more: Any) -> dict[str, Any]:
    retain = {"n": 2, **({} if utility is None else {"rouge_l_recall": utility})}
    return {"forget": {"n": 2, "rouge_l_recall": verbmem}, "retain": retain, **more}


def seeds() -> dict[str, dict[str, Any]]:
    runs = {
        f"method={name},seed={seed}": run(verbmem, UTILITY[name][seed])
        for name, values in VERBMEM.items()
        for seed, verbmem in enumerate(values)
    }
    return {**runs, "retrained": run(0.25, 0.97)}


def half(values: list[float], confidence: float = 0.95) -> float:
    low, high = stats.t.interval(confidence, len(values) - 1, sum(values) / len(values), stats.sem(values))
    return (high - low) / 2


def test_means_and_intervals_are_those_of_scipy() -> None:
    table = compare_groups(seeds(), references=["retrained"])
    assert table.names == ["method=a", "method=b", "retrained"]
    assert table.sizes == [3, 2, 1]
    for row, name in enumerate(VERBMEM):
        for column, values in enumerate((VERBMEM[name], UTILITY[name])):
            assert table.values[row][column] == pytest.approx(sum(values) / len(values))
            spread = table.spreads[row][column]
            assert spread is not None
            assert (spread.half, spread.n) == (pytest.approx(half(values)), len(values))
    assert table.values[2] == [0.25, 0.97]
    assert [spread and spread.half for spread in table.spreads[2]] == [None, None]
    wide = compare_groups(seeds(), confidence=0.99).spreads[0][0]
    assert wide is not None
    assert wide.half == pytest.approx(half(VERBMEM["a"], 0.99))


def test_best_is_so_by_the_mean() -> None:
    """Run a,seed=1 has the nearest Verbmem of all, and group a the nearest mean."""
    table = compare_groups(seeds(), references=["retrained"])
    assert table.best == [[True, False], [False, True], [False, False]]
    assert table.arrows == ["→0.25", "↑"]


def test_a_number_that_some_runs_lack() -> None:
    runs = seeds() | {"method=a,seed=1": run(0.2), "method=b,seed=0": run(0.3), "method=b,seed=1": run(0.4)}
    table = compare_groups(runs)
    assert table.values[0][1] == pytest.approx(0.8)
    assert [None if row[1] is None else row[1].n for row in table.spreads] == [2, None, 1]
    assert table.values[1][1] is None
    lines = FORMATS["text"](table).splitlines()
    assert "(2)" in lines[1]
    assert "(" not in lines[2]


def test_a_group_of_one_is_that_run() -> None:
    runs = {"a": run(0.1, 0.9), "b": run(0.2, 0.8)}
    one, other = compare_groups(runs), compare(runs)
    assert one._replace(spreads=(), sizes=()) == other
    assert "±" not in FORMATS["text"](one)


def test_over_forgotten_is_a_mean_beyond_the_interval_over_seeds() -> None:
    marks = [0.5, 0.52, 0.54]
    runs = {f"r,seed={i}": run(value, 0.9) for i, value in enumerate(marks)}
    least = sum(marks) / 3 - half(marks)
    runs |= {f"far,seed={i}": run(least - 0.01 + wobble, 0.9) for i, wobble in enumerate((-0.005, 0.005))}
    runs |= {f"near,seed={i}": run(least + 0.01 + wobble, 0.9) for i, wobble in enumerate((-0.015, 0.015))}
    table = compare_groups(runs, references=list(runs)[:3])
    assert [bool(own) for own in table.over] == [False, True, False]
    assert any(note.startswith("note: far is over-forgotten, beyond the 95 % interval of r:") for note in table.notes)


def test_every_form_shows_mean_interval_and_number() -> None:
    table = compare_groups(seeds(), references=["retrained"])
    ends = f"{half(VERBMEM['a']):.4f}"
    text = FORMATS["text"](table).splitlines()
    assert text[0].split()[:2] == ["n", "Verbmem"]
    assert text[1].split()[:5] == ["method=a", "3", "0.3000", "±", f"{ends}*"]
    assert "note: means over n seeds, ± half of their 95 % t-interval" in text
    markdown = FORMATS["markdown"](table).splitlines()
    assert markdown[0].startswith("| method | n | Verbmem")
    assert markdown[1] == "| :-- | --: | --: | --: |"
    assert f"| 3 | **0.3000 ± {ends}** |" in markdown[2]
    latex = FORMATS["latex"](table)
    assert r"\begin{tabular}{lrrr}" in latex
    assert rf"method=a & 3 & \textbf{{\boldmath $0.3000 \pm {ends}$}} & " in latex
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table))))
    assert [row["n"] for row in rows] == ["3", "2", "1"]
    assert float(rows[0]["forget.rouge_l_recall.half"]) == pytest.approx(half(VERBMEM["a"]))
    assert rows[0]["retain.rouge_l_recall.n"] == "3"
    assert rows[2]["forget.rouge_l_recall.half"] == "-"
    assert rows[0]["over_forgotten"] == "-"


def write_sweep(folder: Path, runs: dict[str, Any], roles: dict[str, str]) -> Path:
    folder.mkdir()
    entries = {name: {"values": {}, "role": roles.get(name, "run"), "metrics": own} for name, own in runs.items()}
    (folder / "sweep.json").write_text(json.dumps({"runs": entries}))
    return folder


def test_a_sweep_stands_for_its_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = {**seeds(), "method=c,seed=0": None}  # not done yet
    folder = write_sweep(tmp_path / "s", runs, {"retrained": "retrained"})
    assert list(read_runs([str(folder)])) == list(seeds())
    assert list(read_runs([f"x={folder / 'sweep.json'}"])) == [f"x/{name}" for name in seeds()]
    assert references_in([str(folder), f"x={folder}"]) == ["retrained", "x/retrained"]
    assert main(["compare", "--group", str(folder)]) == 0
    assert capsys.readouterr().out == FORMATS["text"](compare_groups(seeds(), references=["retrained"]))
    assert main(["compare", str(folder)]) == 0
    assert capsys.readouterr().out == FORMATS["text"](compare(seeds(), references=["retrained"]))


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": {"a": 1}}', '{"runs": {"a": {"role": "run", "metrics": 3}}}'])
def test_files_that_are_no_sweep(content: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(InputError, match=r"sweep\.json is not a valid sweep\.json"):
        read_runs([str(tmp_path)])
