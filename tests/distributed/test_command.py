"""`ngdiff` under torchrun and `accelerate launch`: one of the processes writes and speaks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from ngdiff.cli import main
from ngdiff.data.people import write_people
from ngdiff.evidence.seal import sealed

from ..tiny import SHAPE
from .launch import launcher

EXAMPLES = Path(__file__).parents[2] / "examples"
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]


def run(beginning: list[str], *words: Any) -> "subprocess.CompletedProcess[str]":
    """`BEGINNING -m ngdiff WORDS`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*beginning, "-m", "ngdiff", *map(str, words)], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_people(folder, 4, questions=4, forget_fraction=0.25)  # 4 rows to forget, 12 to keep
    (folder / "shape.json").write_text(json.dumps(SHAPE))
    return folder


@pytest.fixture(scope="module")
def target(data: Path) -> Path:
    """A model that `accelerate launch` trained in two processes, by a launch file of the examples."""
    model = data / "model"
    words = ["--model", data / "shape.json", "--train", data / "full.jsonl", "--output", model, "--vocab-size", 300]
    beginning = [*ACCELERATE, str(EXAMPLES / "ddp.yaml"), "--num_processes", "2"]
    done = run(beginning, "finetune", *words, "--num-train-epochs", 4, "--per-device-train-batch-size", 2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("the model is in") == 1
    return model


def options(target: Path, data: Path, output: Path) -> list[Any]:
    sets = ["--forget", data / "forget.jsonl", "--retain", data / "retain.jsonl"]
    more = ["--method", "ngdiff", "--save-strategy", "epoch", "--keep-checkpoints"]
    return ["unlearn", "--model", target, *sets, "--output", output, *more]


def test_two_processes_write_one_run_and_one_goes_on(target, data, tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    done = run(launcher(2), *options(target, data, two), "--per-device-train-batch-size", 1, "--num-train-epochs", 1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("The model is in") == 1
    assert done.stderr.count("Before unlearning") == 1
    assert done.stderr.count("2/2 [") == done.stderr.count("100%") > 0  # two steps; a second bar would be another
    extra = json.loads((two / "manifest.json").read_text())["extra"]
    assert (extra["finished"], extra["processes"], extra["rows_per_step"]) == (True, 2, 2)
    assert not list(two.glob("*partial*"))
    assert (two / "report" / "curves.png").exists()

    # As the same run in one process from beginning to end.
    batch = ["--per-device-train-batch-size", "2", "--num-train-epochs", "2"]
    assert main([str(word) for word in [*options(target, data, two), "--resume", *batch]]) == 0
    assert main([str(word) for word in [*options(target, data, one), *batch]]) == 0
    logs = [json.loads((folder / "report" / "training_log.json").read_text())["steps"] for folder in (one, two)]
    for a, b in zip(*([row for row in log if "loss_forget" in row] for log in logs), strict=True):
        for key in ("loss_forget", "loss_retain", "learning_rate"):
            assert a[key] == pytest.approx(b[key], rel=1e-3), (a["step"], key)
    first, second = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name, weight in first.items():
        assert float((weight - second[name]).abs().max()) < 1e-3, name


def test_resume_with_another_number_of_rows_in_a_step_is_refused(target, data, tmp_path, capsys):
    words = [str(word) for word in options(target, data, tmp_path / "run")]
    words += ["--per-device-train-batch-size", "2"]
    assert main([*words, "--num-train-epochs", "1"]) == 0
    manifest = tmp_path / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["extra"] |= {"processes": 2, "rows_per_step": 4}  # as if two processes had begun with the same options
    manifest.write_text(json.dumps(sealed(content)))
    capsys.readouterr()
    assert main([*words, "--num-train-epochs", "2", "--resume"]) == 2
    error = capsys.readouterr().err
    assert "has 4 rows of each set, not 2; choose --per-device-train-batch-size and" in error
    assert "number of processes is 4" in error


def test_a_ruined_model_ends_all_processes_alike(target, data, tmp_path):
    folder = tmp_path / "ruined"
    done = run(launcher(2), *options(target, data, folder), "--max-steps", 1, "--max-retain-loss", 0.001)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ngdiff: error: ")]
    assert len(errors) == 1, done.stderr
    assert "the model is ruined: its retain loss rose from" in errors[0]
    assert done.stderr.count("exitcode  : 3") >= 1
    assert (folder / "ruined" / "model.safetensors").is_file()
    assert not (folder / "model.safetensors").exists()


def test_an_error_is_told_once(target, data):
    done = run(launcher(2), *options(target, data, data))  # a folder with something in it
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("ngdiff: error: ")]
    assert len(errors) == 1, done.stderr
    assert "is not empty" in errors[0]
    assert "[rank1]" not in done.stderr  # no traceback of the other one


@pytest.mark.slow
def test_fsdp_on_cpu_is_refused_and_not_left_out(target, data, tmp_path):
    beginning = [*ACCELERATE, str(EXAMPLES / "fsdp2.yaml"), "--num_processes", "2"]
    done = run(beginning, *options(target, data, tmp_path / "run"))
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("ngdiff: error: ")]
    assert len(errors) == 1, done.stderr
    assert "--fsdp on CPU: accelerate would leave the weights whole" in errors[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("first", [1, 2])
def test_a_chat_model_goes_on_with_the_protected_rows_it_began_with(
    target: Path, data: Path, tmp_path: Path, first: int
) -> None:
    chat = tmp_path / "chat.jinja"
    chat.write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    sets = ["--forget", data / "forget.jsonl", "--retain", data / "retain.jsonl", "--output", tmp_path / "u"]
    words = ["unlearn", "--model", target, *sets, "--chat-template", chat, "--stop", "passes", "--max-retain-loss=none"]
    words += ["--save-strategy", "steps", "--save-steps", 1, "--keep-checkpoints"]
    for processes in (first, 3 - first):
        batch = ["--per-device-train-batch-size", 2 // processes]
        more = ["--max-steps", 1] if processes == first else ["--max-steps", 2, "--resume"]
        beginning = [sys.executable] if processes == 1 else launcher(2)
        done = run(beginning, *words, *batch, *more)
        assert done.returncode == 0, done.stderr[-3000:]
        warned = "Rows in neither set are not protected: --protect auto makes its rows in one process" in done.stderr
        assert warned == (processes == first == 2)
        protected = json.loads((tmp_path / "u" / "manifest.json").read_text())["data"].get("protect", {}).get("rows", 0)
        assert (protected > 0) == (first == 1)
