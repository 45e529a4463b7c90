"""Commands as tasks of a local Ray: order, failures, signals. The commands are a stand-in for ngdiff."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ngdiff.errors import InputError
from ngdiff.exit_codes import INTERRUPTED
from ngdiff.sweep import Job, Record, Result, work
from ngdiff.sweep.on_ray import RayCluster, cores_each, run_command, signal_file

FAKE = """
import os, pathlib, signal, sys, time
words = sys.argv[1:]
name, output = words[words.index("--id") + 1], pathlib.Path(words[words.index("--output") + 1])
output.mkdir(parents=True, exist_ok=True)
home = output.parents[2]
print("by", os.getppid(), "with", os.environ.get("OMP_NUM_THREADS"), "in", os.getcwd(), "as", os.getpid())
if name.startswith("meet"):  # another one that runs at the same time
    (home / f"here-{name}").write_text("")
    limit = time.time() + 120
    while len(list(home.glob("here-*"))) < 2 and time.time() < limit:
        time.sleep(0.05)
    sys.exit(0 if time.time() < limit else 9)
if name == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    (home / "waiting").write_text("")
    time.sleep(120)
sys.exit(3 if name == "fail" else 0)
"""
PROGRAM = [sys.executable, "-c", FAKE]


def test_cores_are_shared_so_that_all_run_at_once() -> None:
    assert cores_each([4, 4], 2) == 4
    assert cores_each([4, 4], 3) == 2
    assert cores_each([8, 2], 2) == 4  # both on the large machine
    assert cores_each([8, 2], 5) == 2
    assert cores_each([1], 9) == 1
    assert cores_each([], 1) == 1


def test_a_command_that_is_to_stop_before_it_begins_does_not_begin(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    signal_file(log).write_text("15")
    assert run_command(["-c", "print(1)"], str(log), str(tmp_path), python=True) == INTERRUPTED
    assert not log.exists()


def test_a_command_runs_in_the_folder_of_the_sweep_and_gets_signals(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    code = "import os, time; print(os.getcwd(), flush=True); open('up', 'w').close(); time.sleep(60)"

    def interrupt() -> None:
        limit = time.monotonic() + 60
        while not (tmp_path / "up").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        signal_file(log).write_text("15")

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert run_command(["-c", code], str(log), str(tmp_path), python=True) == -signal.SIGTERM
    thread.join()
    assert log.read_text() == f"{tmp_path}\n"


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--ray needs ray: pip install 'ngdiff\[ray\]'"):
        RayCluster("local")


# ---- with Ray --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A Ray of two workers on this machine."""
    pytest.importorskip("ray", reason="needs ray: pip install '.[ray]'")
    with pytest.MonkeyPatch.context() as patch, RayCluster("local", cores=2) as made:
        patch.chdir("/")
        yield made


def job(name: str, *needs: str) -> Job:
    return Job(name, "unlearn", ("--id", name), "model", needs)


def worked(cluster: RayCluster, folder: Path, jobs: list[Job], at_once: int = 2) -> Record:
    (folder / "sweep").mkdir(exist_ok=True)
    record = Record(folder / "sweep", {"grid": {}}, {}, jobs)
    work(record, lambda one, result: None, at_once=at_once, program=PROGRAM, start=cluster.start)
    return record


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_two_run_at_once_and_a_failure_keeps_back_what_needs_it(cluster: RayCluster, tmp_path: Path) -> None:
    jobs = [job("meet-a"), job("meet-b"), job("fail"), job("after", "unlearn fail"), job("other")]
    record = worked(cluster, tmp_path, jobs)
    found = {name.partition(" ")[2]: result for name, result in record.results.items()}
    assert {name: one.status for name, one in found.items()} == {
        "meet-a": "done", "meet-b": "done", "fail": "failed", "after": "left out", "other": "done",
    }  # fmt: skip
    assert (found["fail"].code, found["fail"].end.split()[0]) == (3, "by")
    logs = [one.log(record.folder).read_text().split() for one in jobs if one.entry != "after"]
    assert all(int(words[1]) != os.getpid() for words in logs)  # by workers of Ray
    assert {words[3] for words in logs} == {"1"}  # each its share of two cores
    assert json.loads((record.folder / "sweep.json").read_text())["jobs"]["unlearn other"]["status"] == "done"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ctrl_c_stops_the_commands_wherever_they_run(cluster: RayCluster, tmp_path: Path) -> None:
    def interrupt() -> None:
        limit = time.monotonic() + 120
        while not (tmp_path / "waiting").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    jobs = [job("wait"), job("other")]
    with pytest.raises(KeyboardInterrupt):
        worked(cluster, tmp_path, jobs, at_once=1)
    thread.join()
    saved = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["jobs"]
    assert (saved["unlearn wait"]["status"], saved["unlearn wait"]["code"]) == ("stopped", 75)
    assert saved["unlearn other"]["status"] == "waiting"
    assert list(tmp_path.glob("sweep/*/*.signal")) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_machine_that_is_lost_fails_its_command_alone(cluster: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    record = Record(tmp_path / "sweep", {"grid": {}}, {}, [job("wait"), job("other")])
    ended: dict[str, Result] = {}

    def kill() -> None:
        log = record.jobs[0].log(record.folder)
        limit = time.monotonic() + 120
        while not (tmp_path / "waiting").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.2)
        _, worker, *_, command = log.read_text().split()
        for process in (worker, command):  # as if their machine went down
            os.kill(int(process), signal.SIGKILL)

    program = [sys.executable, "-u", "-c", FAKE]
    thread = threading.Thread(target=kill)
    thread.start()
    work(record, lambda one, result: ended.update({one.entry: result}), program=program, start=cluster.start)
    thread.join()
    assert ended["wait"].status == "failed"
    assert ended["wait"].code is None
    assert ended["other"].status == "done"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_cluster_there() -> None:
    pytest.importorskip("ray", reason="needs ray: pip install '.[ray]'")
    with pytest.raises(InputError, match=r"--ray 127\.0\.0\.1:1: no cluster of Ray answers"), RayCluster("127.0.0.1:1"):
        pass
