"""Trackers that work without a network (extra `trackers`): they get the numbers of a run, and no text of its rows."""

import json
from pathlib import Path

import pytest

from .runs import run, succeeded

pytestmark = pytest.mark.slow

WHY = "pip install 'ngdiff[trackers]'"


def texts_of(material) -> list[bytes]:
    """Questions and answers of all rows."""
    rows = [
        json.loads(line) for file in (material.forget, material.retain) for line in Path(file).read_text().splitlines()
    ]
    texts = [text.encode() for row in rows for text in row.values() if isinstance(text, str) and len(text) > 8]
    assert len(texts) > 4
    return texts


def files_in(folder: Path) -> dict[str, bytes]:
    """Contents of all files."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse_texts(material, files: dict[str, bytes]) -> None:
    """No file holds a text."""
    assert files
    for text in texts_of(material):
        assert not [name for name, content in files.items() if text in content]


def test_tensorboard(material, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason=WHY)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = tmp_path / "logs"
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(logs))
    succeeded(run(*material.words(tmp_path / "run", max_steps=2, report_to="tensorboard")))
    refuse_texts(material, files_in(logs))
    (file,) = logs.rglob("events*")
    found = EventAccumulator(str(file.parent))
    found.Reload()
    assert [event.step for event in found.Scalars("train/loss_forget")] == [1, 2]


@pytest.mark.parametrize("command", ["unlearn", "finetune"])
def test_events_of_tensorboard_lie_in_the_report(material, tmp_path, command):
    """Also where the run replaces another: the events are written after its folder is emptied."""
    pytest.importorskip("tensorboard", reason=WHY)
    sets = {
        "unlearn": ["--forget", material.forget, "--retain", material.retain],
        "finetune": ["--train", material.retain],
    }
    words = [command, "--model", material.model, *sets[command], "--output", tmp_path / "run", "--max-steps", 1]
    for more in ([], ["--overwrite"]):
        succeeded(run(*words, "--report-to", "tensorboard", *more))
        (events,) = (tmp_path / "run").rglob("events*")
        assert events.is_relative_to(tmp_path / "run" / "report" / "runs")


def test_wandb_offline(material, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason=WHY)
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    succeeded(run(*material.words(tmp_path / "run", max_steps=2, report_to="wandb")))
    wandb.finish()
    logs = next((tmp_path / "wandb").glob("offline-run-*"))
    files = files_in(logs)
    refuse_texts(material, files)
    assert any(name.endswith(".wandb") and b"loss_forget" in content for name, content in files.items())
