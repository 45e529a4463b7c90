import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.scoring import read_runs

METRICS: dict[str, Any] = {"verbmem": 0.5, "forget": {"n": 2, "rouge_l_recall": 0.5}}


def write(folder: Path, metrics: Any = METRICS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
    return folder


def test_names_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path / "gdiff"), write(tmp_path / "lr=1e-5")
    runs = read_runs([str(first), f"my  method={first}", str(second)])
    assert list(runs) == ["gdiff", "my method", "lr=1e-5"]
    assert all(metrics == METRICS for metrics in runs.values())
    assert list(read_runs([f"a={second}"])) == ["a"]
    assert list(read_runs([str(first / "metrics.json")])) == ["gdiff"]
    monkeypatch.chdir(first)
    assert list(read_runs(["."])) == ["gdiff"]


def test_an_evaluation_within_a_run(tmp_path: Path) -> None:
    write(tmp_path / "run" / "evaluation")
    assert list(read_runs([f"ngdiff={tmp_path / 'run'}"])) == ["ngdiff"]
    write(tmp_path / "run" / "another")
    with pytest.raises(InputError, match=r"run holds several evaluations: .*another, .*evaluation; name one"):
        read_runs([str(tmp_path / "run")])


def test_several_evaluations_in_one_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", {"before": METRICS, "after": METRICS})
    assert list(read_runs([str(folder)])) == ["demo/before", "demo/after"]


def test_an_evaluation_of_general_abilities_alone(tmp_path: Path) -> None:
    metrics = {"lm_eval": {"arc_easy": {"acc,none": 0.5}}}
    assert read_runs([str(write(tmp_path / "a", metrics))]) == {"a": metrics}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("{", r"metrics\.json is not a valid metrics\.json: Expecting"),
        ('{"forget": {"n": 1, "loss": NaN}}', "NaN is not a number"),
        ("[]", "it contains no object"),
        ({"verbmem": 0.5}, "holds no metrics of a set; `ngdiff evaluate` and `ngdiff score` write some"),
    ],
)
def test_files_that_are_none(tmp_path: Path, metrics: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_runs([str(write(tmp_path / "run", metrics))])


def test_places_and_names_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read_runs([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match=r"and its folders contain no metrics\.json"):
        read_runs([str(tmp_path)])
    run = write(tmp_path / "run")
    with pytest.raises(InputError, match="the name before = is empty"):
        read_runs([f"={run}"])
    with pytest.raises(InputError, match="two runs are named 'run'; give them different names with NAME=FOLDER"):
        read_runs([str(run), str(run)])
