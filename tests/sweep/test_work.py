"""Commands that depend on each other, with a stand-in for ngdiff: order, failures, signals, and what --resume does."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.file_names import SWEEP
from ngdiff.sweep import Job, Record, Result, work

# Writes what it was given to `calls`, and ends as the file `ends` in its folder says: code by the word --id.
FAKE = """
import json, os, pathlib, signal, sys, time
words = sys.argv[1:]
name, output = words[words.index("--id") + 1], pathlib.Path(words[words.index("--output") + 1])
home = pathlib.Path(os.environ["FAKE_HOME"])
with (home / "calls").open("a") as stream:
    stream.write(json.dumps([name, words, os.environ.get("OMP_NUM_THREADS")]) + "\\n")
end = json.loads((home / "ends").read_text()).get(name, 0) if (home / "ends").exists() else 0
if words[0] == "score":
    output.write_text("{}")
else:
    output.mkdir(parents=True, exist_ok=True)
    (output / "begun").write_text("")
if end == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    (home / "waiting").write_text("")
    time.sleep(60)
if end == "meet":  # another one that runs at the same time
    (home / f"here-{name}").write_text("")
    limit = time.time() + 60
    while len(list(home.glob("here-*"))) < 2 and time.time() < limit:
        time.sleep(0.01)
    end = 0 if time.time() < limit else 9
if end == 0 and words[0] != "score":
    (output / {"evaluate": "metrics.json"}.get(words[0], "manifest.json")).write_text('{"value": 1}')
print("said by", name)
print("its last line", file=sys.stderr)
sys.exit(end)
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.home, self.folder = folder, folder / "sweep"
        self.folder.mkdir()
        self.program = [sys.executable, "-c", FAKE]
        self.told: list[tuple[str, Result]] = []

    def ends(self, **ends: Any) -> None:
        (self.home / "ends").write_text(json.dumps(ends))

    def record(self, jobs: list[Job], *, resume: bool = False) -> Record:
        record = Record(self.folder, {"grid": {}}, {"a": {"values": {}, "role": "run", "metrics": None}}, jobs)
        if resume:
            record.take_over()
        return record

    def work(self, jobs: list[Job], *, resume: bool = False, at_once: int = 1) -> dict[str, str]:
        """What became of each."""
        record = self.record(jobs, resume=resume)
        work(record, lambda job, result: self.told.append((job.name, result)), at_once=at_once, program=self.program)
        return {name: result.status for name, result in record.results.items()}

    def calls(self) -> list[list[Any]]:
        """Name, words and number of threads of each call since the last time."""
        path = self.home / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [json.loads(line) for line in lines]

    def saved(self) -> dict[str, Any]:
        return json.loads((self.folder / SWEEP).read_text())["jobs"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("FAKE_HOME", str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Place(tmp_path)


def job(entry: str, command: str, *needs: str, more: tuple[str, ...] = ()) -> Job:
    output = {"evaluate": "evaluation", "score": "metrics.json"}.get(command, "model")
    return Job(entry, command, ("--id", f"{command}-{entry}", *more), output, needs)


def jobs() -> list[Job]:
    runs = []
    for name in "ab":
        runs += [
            job(name, "unlearn", "finetune target"),
            job(name, "evaluate", f"unlearn {name}"),
            job(name, "score", f"evaluate {name}"),
        ]
    return [job("target", "finetune"), *runs]


ORDER = ["finetune-target", "unlearn-a", "evaluate-a", "score-a", "unlearn-b", "evaluate-b", "score-b"]


def test_a_run_is_finished_before_the_next_begins(place: Place) -> None:
    assert set(place.work(jobs()).values()) == {"done"}
    calls = place.calls()
    assert [name for name, *_ in calls] == ORDER
    assert all(threads is None for *_, threads in calls)
    assert [name for name, _ in place.told] == [one.name for one in jobs()]
    saved = place.saved()
    assert saved["unlearn a"]["status"] == "done"
    assert saved["unlearn a"]["code"] == 0
    assert (place.folder / saved["unlearn a"]["log"]).read_text().splitlines() == ["said by unlearn-a", "its last line"]


def test_several_at_once_share_the_cores(place: Place) -> None:
    place.ends(**{"unlearn-a": "meet", "unlearn-b": "meet"})
    assert set(place.work(jobs(), at_once=2).values()) == {"done"}
    assert {int(threads) for *_, threads in place.calls()} == {max(1, len(os.sched_getaffinity(0)) // 2)}


def test_a_failure_keeps_back_what_needs_it_and_nothing_else(place: Place) -> None:
    place.ends(**{"unlearn-a": 3})
    found = place.work(jobs())
    assert {name for name, status in found.items() if status == "done"} == {
        "finetune target", "unlearn b", "evaluate b", "score b",
    }  # fmt: skip
    assert (found["unlearn a"], found["evaluate a"], found["score a"]) == ("failed", "left out", "left out")
    saved = place.saved()["unlearn a"]
    assert (saved["code"], saved["end"]) == (3, "said by unlearn-a\nits last line")


def test_resume_does_what_is_left(place: Place) -> None:
    place.ends(**{"unlearn-a": 1, "evaluate-b": 2})
    place.work(jobs())
    place.calls()
    place.ends()
    assert set(place.work(jobs(), resume=True).values()) == {"done"}
    calls = {name: words for name, words, _ in place.calls()}
    assert list(calls) == ["unlearn-a", "evaluate-a", "score-a", "evaluate-b", "score-b"]
    assert calls["unlearn-a"][-1] == "--resume"  # it had begun
    assert "--resume" not in calls["evaluate-a"]  # it had not
    assert calls["evaluate-b"][-1] == "--resume"
    place.work(jobs(), resume=True)
    assert place.calls() == []


def test_resume_with_other_options_or_lost_files(place: Place) -> None:
    place.work(jobs())
    place.calls()
    other = [job("target", "finetune"), job("a", "unlearn", "finetune target", more=("--seed", "1")), *jobs()[2:]]
    place.work(other, resume=True)
    calls = {name: words for name, words, _ in place.calls()}
    # The run itself says whether it can go on so; what reads its model starts anew.
    assert list(calls) == ["unlearn-a", "evaluate-a", "score-a"]
    assert [calls[name][-1] for name in calls] == ["--resume", "--overwrite", "--overwrite"]
    (place.folder / "b" / "model" / "manifest.json").unlink()
    place.work(other, resume=True)
    assert [name for name, *_ in place.calls()] == ["unlearn-b", "evaluate-b", "score-b"]


def test_a_grid_that_grew(place: Place) -> None:
    place.work(jobs()[:4])
    place.calls()
    place.work(jobs(), resume=True)
    assert [name for name, *_ in place.calls()] == ORDER[4:]


def test_what_another_call_did_is_remembered_while_it_holds(place: Place) -> None:
    place.work(jobs())
    place.work(jobs()[:4], resume=True)
    place.work(jobs()[:4], resume=True)
    place.calls()
    place.work(jobs(), resume=True)
    assert place.calls() == []
    # A run whose model is made anew by a call that does not ask for the run is no longer done.
    place.work([job("target", "finetune", more=("--seed", "1"))], resume=True)
    place.calls()
    place.work([job("target", "finetune", more=("--seed", "1")), *jobs()[1:]], resume=True)
    assert [name for name, *_ in place.calls()] == ORDER[1:]


def test_a_record_that_is_none(place: Place) -> None:
    (place.folder / SWEEP).write_text('{"jobs": []}')
    with pytest.raises(InputError, match=r"--resume: .*sweep\.json is not the record of a sweep; choose another"):
        place.record(jobs(), resume=True)


def test_secrets_are_in_no_record(place: Place) -> None:
    place.work([job("a", "unlearn", more=("--hub-token", "hf_abc"))])
    assert "hf_abc" not in (place.folder / SWEEP).read_text()
    assert "hf_abc" in place.calls()[0][1]
    place.work([job("a", "unlearn", more=("--hub-token", "hf_abc"))], resume=True)
    assert place.calls() == []


def test_ctrl_c_stops_what_runs_and_keeps_it(place: Place) -> None:
    place.ends(**{"unlearn-a": "wait"})

    def interrupt() -> None:
        limit = time.monotonic() + 60
        while not (place.home / "waiting").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        place.work(jobs())
    thread.join()
    saved = place.saved()
    assert (saved["unlearn a"]["status"], saved["unlearn a"]["code"]) == ("stopped", 75)
    assert saved["evaluate a"]["status"] == "waiting"
    place.calls()
    place.ends()
    assert set(place.work(jobs(), resume=True).values()) == {"done"}
    assert place.calls()[0][1][-1] == "--resume"
