"""`ngdiff clean`."""

import json

import pytest

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.cli.main import main
from ngdiff.exit_codes import BAD_INPUT, DONE

from .folders import described

PARTS = ("checkpoints", "reference", "base_model")


@pytest.fixture
def done(tmp_path):
    """Output folder of a run that kept all."""
    place = tmp_path / "run"
    with described(place, keep_checkpoints=True) as folder:
        folder.begin(processes=1)
        for name in ("checkpoints/checkpoint-2", *PARTS[1:], "private"):
            (place / name).mkdir(parents=True)
            (place / name / "file").write_bytes(bytes(100_000))
    return place


def test_what_only_resume_needs_goes(done, capsys):
    assert main(["clean", str(done), "--dry-run"]) == DONE
    assert capsys.readouterr().out == f"{done}: 0.3 MB would be removed ({', '.join(PARTS)})\n"
    assert (checkpoint_folder(done, 2) / "file").exists()
    assert main(["clean", str(done)]) == DONE
    assert capsys.readouterr().out == f"{done}: 0.3 MB removed ({', '.join(PARTS)})\n"
    assert sorted(path.name for path in done.iterdir() if path.is_dir()) == ["private"]
    assert main(["clean", str(done)]) == DONE
    assert capsys.readouterr().out == f"{done}: 0.0 MB removed\n"


def test_checkpoints_of_an_earlier_version_go_too(done, capsys):
    checkpoint_folder(done, 2).rename(done / "checkpoint-2")
    assert main(["clean", str(done)]) == DONE
    assert capsys.readouterr().out == f"{done}: 0.3 MB removed (checkpoints, checkpoint-2, reference, base_model)\n"
    assert sorted(path.name for path in done.iterdir() if path.is_dir()) == ["private"]


def test_nothing_goes_where_a_run_is_not_done(done, tmp_path, capsys):
    with described(tmp_path / "begun") as folder:
        folder.begin(processes=1)
        manifest = json.loads((tmp_path / "begun" / "manifest.json").read_text())
        assert manifest["extra"]["finished"] is False
        assert main(["clean", str(done), str(tmp_path / "begun")]) == BAD_INPUT
    assert "begun: its run is not done" in capsys.readouterr().err
    assert checkpoint_folder(done, 2).exists()


def test_the_checkpoints_of_a_ruined_model_stay(tmp_path, capsys):
    with described(tmp_path / "run") as folder:
        folder.begin(processes=1)
        folder.extra["ruined"] = "its loss is 9"
    assert main(["clean", str(tmp_path / "run")]) == BAD_INPUT
    assert "its model is ruined" in capsys.readouterr().err


def test_a_folder_without_a_run(tmp_path, capsys):
    assert main(["clean", str(tmp_path)]) == BAD_INPUT
    assert str(tmp_path) in capsys.readouterr().err
