"""The log of a run: written into its report folder, and read back."""

import json
import math
from pathlib import Path

import pytest

from ngdiff.errors import InputError, WriteError
from ngdiff.report.logs import Log, read_log, write_log


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_log(tmp_path) == Log()
    steps = [{"step": 1, "loss_forget": 0.5, "loss_retain": math.nan}]
    write_log(tmp_path, Log(steps, [{"step": 1, "fits": []}], "image"))
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    log = read_log(tmp_path)
    assert log == Log([{"step": 1, "loss_forget": 0.5, "loss_retain": None}], [{"step": 1, "fits": []}], "image")
    assert log.points("loss_forget") == [(1.0, 0.5)]
    assert log.points("loss_retain") == []


def test_a_log_beside_the_model_is_no_empty_one(tmp_path: Path) -> None:
    log = tmp_path / "training_log.json"
    log.write_text(json.dumps({"steps": [{"step": 1}], "probes": []}))
    with pytest.raises(InputError) as caught:
        read_log(tmp_path)
    why = "another version of ngdiff wrote it; run it again"
    assert str(caught.value) == f"{log} belongs in {tmp_path / 'report'}: {why}"
    write_log(tmp_path, Log([{"step": 2}]))
    assert read_log(tmp_path).steps == [{"step": 2}]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("")
    with pytest.raises(WriteError, match="report could not be written"):
        write_log(tmp_path, Log())
