"""The output folder of a run that trains, from its check to its last manifest. No model is loaded here."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli.signals import SIGNALS
from ngdiff.errors import InputError, RuinedModelError
from ngdiff.hashes import sha256_file

from .folders import CONTENTS, Settings, described, folder_at


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    monkeypatch.setattr(SIGNALS, "resumable", False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run"


def manifest(place: Path) -> dict[str, Any]:
    return json.loads((place / "manifest.json").read_text())


def finish(place: Path, *, ruined: str = "", **options: Any) -> None:
    """A run that wrote one file of a model, and a log."""
    with described(place, **options) as folder:
        folder.begin(processes=1)
        made = folder.model_place(ruined)
        made.mkdir(exist_ok=True)
        (made / "model.safetensors").write_text("weights")
        folder.add_model(["model.safetensors"], ruined)
        (place / "log.json").write_text("{}")
        folder.outputs.append("log.json")
        folder.extra["losses"] = 1.5


def test_a_folder_that_is_not_ours_is_refused_when_it_is_named(place):
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=re.escape(str(place))):
        folder_at(place)
    with pytest.raises(InputError, match=re.escape(str(place))):
        folder_at(place, overwrite=True)
    assert (place / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_an_input_is_never_overwritten(place):
    finish(place)
    with pytest.raises(InputError, match="--overwrite"):
        folder_at(place, overwrite=True, inputs=(place / "model.safetensors",))


def test_nothing_is_written_before_the_run_begins(place):
    with described(place):
        pass
    assert not place.exists()


def test_the_first_manifest_says_that_the_run_is_not_finished(place):
    with described(place) as folder:
        folder.begin(processes=2)
        first = manifest(place)
    assert first["command"] == ["ngdiff", "unlearn", "--x"]
    assert (first["seed"], first["template"]) == (7, "plain")
    assert (first["data"], first["model"]) == (CONTENTS["data"], CONTENTS["model"])
    assert first["extra"] == {"finished": False, "processes": 2}
    assert first["outputs"] == {}


def test_the_last_manifest_holds_what_was_made_and_found(place):
    finish(place)
    last = manifest(place)
    assert last["extra"] == {"finished": True, "losses": 1.5, "processes": 1}
    assert last["outputs"] == {
        name: sha256_file(place / name) for name in ("model.safetensors", "log.json", "README.md")
    }


def test_a_run_that_fails_stays_unfinished(place):
    with suppress(FloatingPointError), described(place) as folder:
        folder.begin()
        folder.outputs.append("nowhere")  # would be hashed
        raise FloatingPointError
    assert manifest(place)["extra"]["finished"] is False


def test_an_earlier_run_is_deleted_when_the_next_begins_and_not_before(place):
    finish(place)
    with described(place, overwrite=True) as folder:
        assert (place / "model.safetensors").exists()
        folder.begin()
        assert not (place / "model.safetensors").exists()


def test_resume_compares_and_finds_what_is_done(place):
    finish(place)
    before = manifest(place)
    with described(place, resume=True) as folder:
        assert folder.is_done()
    assert manifest(place) == before
    with described(place, resume=True, config=Settings(max_steps=9)) as folder:
        assert not folder.is_done()
    with pytest.raises(InputError, match="--seed 7, not 8"):
        described(place, resume=True, config=Settings(seed=8))
    with pytest.raises(InputError, match="--forget does not hold what it held"):
        described(place, resume=True, data={"forget": {"rows_sha256": "cd"}})


def test_without_resume_nothing_is_done_and_there_is_no_checkpoint(place):
    with described(place) as folder:
        assert not folder.is_done()
        assert folder.checkpoint() is None


def test_a_model_without_a_checkpoint_is_nothing_to_go_on_from(place):
    finish(place)
    with pytest.raises(InputError, match="holds a model and no complete checkpoint"):
        described(place, resume=True).checkpoint()


def test_a_ruined_model_is_kept_apart_and_named(place):
    finish(place, ruined="its loss is 9")
    assert (place / "ruined" / "model.safetensors").exists()
    last = manifest(place)
    assert (last["extra"]["ruined"], last["extra"]["model"]) == ("its loss is 9", "ruined")
    assert {"ruined/model.safetensors", "ruined/README.md"} <= last["outputs"].keys()
    with pytest.raises(RuinedModelError, match="its loss is 9"):
        described(place, resume=True).is_done()


@pytest.mark.parametrize(
    ("kept", "options"),
    [(False, {}), (True, {"keep_checkpoints": True}), (True, {"ruined": "its loss is 9"})],
)
def test_what_a_resumed_run_needs_goes_with_the_end_of_a_run_that_is_done(place, kept, options):
    with described(place, **{key: value for key, value in options.items() if key != "ruined"}) as folder:
        folder.begin(processes=1)
        for name in ("checkpoints/checkpoint-2", "reference", "base_model", "private"):
            (place / name).mkdir(parents=True)
        folder.extra |= {key: value for key, value in options.items() if key == "ruined"}
    for name in ("checkpoints", "reference", "base_model"):
        assert (place / name).exists() is kept
    assert (place / "private").exists()


def test_a_good_model_takes_the_place_of_a_ruined_one(place):
    finish(place, ruined="its loss is 9")
    finish(place, resume=True, config=Settings(max_steps=9))
    assert not (place / "ruined").exists()
    assert "ruined" not in manifest(place)["extra"]


@pytest.mark.parametrize("only_model", [False, True])
def test_a_run_can_be_resumed_from_its_beginning_on(place, only_model):
    with described(place, config=Settings(save_only_model=only_model)) as folder:
        assert not SIGNALS.resumable
        folder.begin()
    assert SIGNALS.resumable is not only_model


def test_only_the_first_process_reads_and_writes(place, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with described(place) as folder:
        folder.begin()
        folder.add_model(["model.safetensors"], "")
    assert [path.name for path in place.iterdir()] == ["notes.txt"]
