"""Files that a command writes beside its table, never in the place of what a run wrote or read."""

import json
import os
from pathlib import Path

import pytest

from ngdiff.cli import main
from ngdiff.cli.output_file import check_output_file
from ngdiff.errors import InputError

from ..evidence.made import Made, write_run


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_run(tmp_path)


@pytest.mark.parametrize("command", ["verify", "ledger"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run/manifest.json", "is a file of the run in"),
        ("run/config.yaml", "is a file of the run in"),
        ("run/adapter_model.safetensors", "is a file of the run in"),
        ("run/private/records_forget.jsonl", "is a file of the run in"),
        ("run/checkpoints/checkpoint-3/optimizer.pt", "is a file of the checkpoint"),
        ("run/verified.json", "where ngdiff verify takes it for a file that does not belong there"),
        ("run/private/verified.json", "where ngdiff verify takes it for a file that does not belong there"),
        ("inputs/forget.jsonl", "is a file that is read; choose another."),
        ("inputs/model/model.safetensors", "is a file that is read; choose another."),
    ],
)
def test_nothing_is_damaged(made: Made, command: str, name: str, message: str, capsys) -> None:
    before = [path.read_bytes() for path in made.files()]
    place = made.output.parent / name
    assert main([command, str(made.output), "--json", str(place), "--overwrite"]) == 2
    err = capsys.readouterr().err
    assert f"--json {place}" in err
    assert message in err
    assert [path.read_bytes() for path in made.files()] == before


def test_a_table_is_not_written_over_its_numbers(tmp_path: Path, capsys) -> None:
    (tmp_path / "a").mkdir()
    numbers = tmp_path / "a" / "metrics.json"
    numbers.write_text(json.dumps({"forget": {"n": 2, "loss": 1.0}}))
    for option in ("--output", "--figure"):
        assert main(["compare", str(tmp_path / "a"), option, str(numbers), "--overwrite"]) == 2
        assert "is a file that is read" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "a"), "--output", str(tmp_path / "a" / "table.txt")]) == 0
    assert main(["compare", str(tmp_path / "a"), "--output", str(tmp_path / "a" / "table.txt"), "--overwrite"]) == 0


def test_no_device_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--json /dev/null: is no regular file but a device"):
        check_output_file("/dev/null", option="--json", overwrite=True)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="but a named pipe"):
        check_output_file(tmp_path / "pipe.json", overwrite=True)


def test_files_of_folders_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    for name in ("config.json", "../rows.jsonl"):
        file = tmp_path / "model" / name
        file.write_text("{}")
        with pytest.raises(InputError, match="is a file that is read"):
            check_output_file(file, overwrite=True, inputs=[tmp_path / "model", f"{tmp_path / 'rows.jsonl'}:train"])
