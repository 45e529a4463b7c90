"""`ngdiff sweep --search`: what is refused before the first trial, trials, resuming. No command runs here."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ngdiff.cli import main, search
from ngdiff.data.people import write_people
from ngdiff.exit_codes import BAD_INPUT, DONE, STOPPED_RESUMABLE, SWEEP_INCOMPLETE
from ngdiff.sweep import Job, Record, Result

pytest.importorskip("optuna", reason="needs optuna: pip install '.[search]'")
SPACE = {"method": ["ngdiff", "gdiff"], "learning_rate": {"from": 1e-5, "to": 1e-2, "log": True}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_people(folder, 4, questions=2, forget_fraction=0.25, holdout=1)
    return folder


class Asked:
    """Searches in a folder. `fails`: names of jobs that fail. `stop_at`: one at which Ctrl-C is pressed."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder, self.out = data, folder, folder / "out"
        self.ran: list[str] = []
        self.fails: set[str] = set()
        self.stop_at = ""
        self.without_utility = ""

    def work(
        self, record: Record, tell: Callable[[Job, Result], None], *, jobs: Sequence[Job], at_once: int, **more: Any
    ) -> None:
        for job in jobs:
            if record.results[job.name].status == "done":
                continue
            if job.name == self.stop_at:
                raise KeyboardInterrupt
            self.ran.append(job.name)
            lacks = any(record.results[need].status != "done" for need in job.needs)
            failed = job.name in self.fails
            if not (lacks or failed):
                self.write(job, record)
            status = "left out" if lacks else "failed" if failed else "done"
            record.results[job.name] = Result(status, 1 if failed else 0, 0.5, "no memory" if failed else "")  # type: ignore[arg-type]
            record.write()
            tell(job, record.results[job.name])

    def write(self, job: Job, record: Record) -> None:
        """What the command would have written; D is the smaller, the nearer the rate is to 1e-3."""
        place = job.place(record.folder)
        if job.command != "score":
            place.mkdir(parents=True, exist_ok=True)
            (place / "manifest.json").write_text("{}")
            (place / "metrics.json").write_text("{}")
            return
        found = {"distance": {"value": 0.1 * (int(job.entry.removeprefix("trial=")) + 1)}, "utility": 0.5}
        if job.entry == self.without_utility:
            del found["utility"]
        place.write_text(json.dumps(found))

    def file(self, **content: Any) -> Path:
        options = {name: f"{self.data}/{name}.jsonl" for name in ("forget", "retain")}
        whole = {
            "search": SPACE,
            "options": {**options, "model": "m"},
            "stages": {"retrained": "gold"},
            "output": str(self.out),
        }
        path = self.folder / "search.yaml"
        path.write_text(yaml.safe_dump({**whole, **content}, sort_keys=False))
        return path

    def run(self, *words: str, **content: Any) -> int:
        self.ran = []
        return main(["sweep", str(self.file(**content)), "--search", *words])

    def saved(self) -> dict[str, Any]:
        return json.loads((self.out / "sweep.json").read_text())


@pytest.fixture
def asked(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked(data, tmp_path)
    monkeypatch.setattr(search, "work", made.work)
    monkeypatch.setattr(search, "refuse_changed_inputs", lambda record: None)
    return made


def own(number: int) -> list[str]:
    return [f"{command} trial={number}" for command in ("unlearn", "evaluate", "score")]


SHARED = ["evaluate before", "evaluate retrained"]


def test_trials_share_their_models_and_the_best_are_printed(asked: Asked, capsys) -> None:
    assert asked.run("--trials", "3") == DONE
    assert asked.ran == [*SHARED, *own(0), *own(1), *own(2)]
    saved = asked.saved()
    assert saved["search"] == SPACE
    assert "grid" not in saved
    values = [saved["runs"][f"trial={number}"]["values"] for number in range(3)]
    assert {one["method"] for one in values} <= {"ngdiff", "gdiff"}
    assert len({one["learning_rate"] for one in values}) == 3
    words = saved["jobs"]["unlearn trial=1"]["words"]
    assert f"--learning_rate={values[1]['learning_rate']}" in words
    out = capsys.readouterr().out
    assert "11/11 score trial=2: done" in out
    table = out[out.index("the Pareto front:") :].splitlines()
    assert table[1].split() == ["trial", "D", "(retrained)", "↓", "Utility", "↑", "method", "learning-rate"]
    # The Utility of all is the same, so that the first one's D alone is not beaten.
    assert [row.split()[:3] for row in table[2:-1]] == [["0", "0.1000", "0.5000"]]
    assert table[-1] == f"All trials: ngdiff compare {asked.out}"


def test_a_trial_that_fails_is_reported_and_the_rest_goes_on(asked: Asked, capsys) -> None:
    asked.fails = {"unlearn trial=0"}
    asked.without_utility = "trial=2"
    assert asked.run(trials=4) == SWEEP_INCOMPLETE
    assert asked.ran == [*SHARED, *own(0), *own(1), *own(2), *own(3)]
    out, err = capsys.readouterr()
    assert "unlearn trial=0: failed" in out
    assert "no memory" in out
    assert "trial=2 has no Utility, and counts as failed" in out
    assert err.startswith("ngdiff: error: 2 of 4 trials failed (trial=0, trial=2); all else is done. ")
    # What failed has failed: --resume adds trials, and is told of them again.
    asked.fails = set()
    assert asked.run("--resume", "--trials", "5") == SWEEP_INCOMPLETE
    assert asked.ran == own(4)
    saved = asked.saved()["jobs"]
    assert (saved["unlearn trial=0"]["status"], saved["unlearn trial=0"]["end"]) == ("failed", "no memory")
    assert asked.run("--resume", "--trials", "5") == SWEEP_INCOMPLETE
    assert asked.ran == []


def test_what_all_trials_share_fails_once(asked: Asked, capsys) -> None:
    asked.fails = {"evaluate before"}
    assert asked.run("--trials", "3") == SWEEP_INCOMPLETE
    assert asked.ran == SHARED
    assert "the sweep is incomplete: 1 of 2 commands failed" in capsys.readouterr().err
    asked.fails = set()
    assert asked.run("--resume", "--trials", "1") == DONE
    assert asked.ran == ["evaluate before", *own(0)]


def test_an_interrupted_trial_goes_on_with_its_point(asked: Asked) -> None:
    asked.stop_at = "evaluate trial=1"
    assert asked.run("--trials", "3") == STOPPED_RESUMABLE
    before = asked.saved()["runs"]["trial=1"]["values"]
    asked.stop_at = ""
    assert asked.run("--trials", "3", "--resume") == DONE
    assert asked.ran == ["evaluate trial=1", "score trial=1", *own(2)]
    assert asked.saved()["runs"]["trial=1"]["values"] == before


def test_several_at_once_are_chosen_together(asked: Asked) -> None:
    assert asked.run("--trials", "3", "--jobs", "2") == DONE
    assert asked.ran == [*SHARED, *own(0), *own(1), *own(2)]


def test_holdout_rows_give_d_without_a_retrained_model(asked: Asked, capsys) -> None:
    holdout = ["--holdout", f"{asked.data}/holdout.jsonl"]
    assert asked.run("--trials", "1", *holdout, stages={}) == SWEEP_INCOMPLETE
    assert "trial=0 has no D (holdout), and counts as failed" in capsys.readouterr().out


def refused(asked: Asked, capsys, *words: str, **content: Any) -> str:
    assert asked.run(*words, **content) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"search": {"methd": ["a", "b"]}}, "search: methd=a: methd is no option of ngdiff unlearn; did you mean"),
        ({"search": {"method": ["ngdiff", "ngdif"]}}, None),
        ({"search": {"num_train_epochs": {"from": -3, "to": 2}}}, None),
        ({"search": {"seed": {"from": 1}}}, "search: seed has no to; a range has from and to"),
        ({"search": {}}, None),
        ({"search": {"output": ["a", "b"]}}, "search: output is for the sweep to say"),
        ({"search": {"model": ["a", "b"]}}, "search: model is there and among the options; leave out one"),
        ({"grid": {"seed": [0]}}, None),
        ({"variants": {"a": {"seed": 1}}}, None),
        ({"trials": 0}, "trials is 0, not a number of trials, 1 or more"),
    ],
)
def test_what_cannot_be_searched(content: dict[str, Any], message: str | None, asked: Asked, capsys) -> None:
    found = refused(asked, capsys, **content)
    others = (
        r"trial=method=ngdif: .*ngdif|trial=.*--num-train-epochs -3|--search: .* has (no `search`|a grid or variants)"
    )
    assert re.match(f"{asked.folder}/search.yaml: {message}" if message else others, found), found
    assert not asked.out.exists()


def test_options_that_change_what_is_shared(asked: Asked, capsys) -> None:
    options = {"retain": f"{asked.data}/retain.jsonl", "model": "m"}
    forget = [f"{asked.data}/forget.jsonl", f"{asked.data}/holdout.jsonl"]
    found = refused(asked, capsys, options=options, search={"forget": forget, **SPACE})
    assert "search: forget changes the models or evaluations that all trials share" in found


def test_no_d(asked: Asked, capsys) -> None:
    for stages in ({}, {"retrained": "gold", "score": False}, {"retrained": "gold", "evaluate": False}):
        assert refused(asked, capsys, stages=stages).startswith("--search needs D, which ")
    assert not asked.out.exists()


def test_words_that_cannot_be_used(asked: Asked, capsys) -> None:
    assert main(["sweep", "--search"]) == BAD_INPUT
    assert "--search needs a file with `search`" in capsys.readouterr().err
    assert main(["sweep", str(asked.file())]) == BAD_INPUT
    assert "has a `search`: give --search" in capsys.readouterr().err
    assert main(["sweep", "--grid", "seed=0", "--trials", "3"]) == BAD_INPUT
    assert "--trials 3 changes nothing without --search" in capsys.readouterr().err
    assert "learning_rate is there and on the command line" in refused(asked, capsys, "--lr", "1")


def test_resuming_another_search(asked: Asked, capsys) -> None:
    assert asked.run("--trials", "1") == DONE
    capsys.readouterr()
    assert "is not empty; choose another folder" in refused(asked, capsys)
    other = refused(asked, capsys, "--resume", search={"seed": [0, 1]})
    assert other == f"--resume: the `search` of {asked.out} is another one, or none; choose another --output"
    found = refused(asked, capsys, "--resume", "--max-steps", "3")
    assert "the results of trial=0 are gone or of other options" in found
    (asked.out / "search.db").write_text("no database")
    assert "search.db is not the study of a search" in refused(asked, capsys, "--resume")
