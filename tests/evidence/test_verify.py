"""`ngdiff verify` finds every change of what a run wrote and read."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.cli import main
from ngdiff.errors import InputError
from ngdiff.evidence.seal import read_sealed, sealed
from ngdiff.evidence.verify import verify
from ngdiff.exit_codes import BAD_INPUT, DONE, NOT_AS_WRITTEN
from ngdiff.hashes import sha256_file
from ngdiff.manifest import describe_source
from ngdiff.writing import json_text

from .made import Made, write_run

CHANGES = 200


@pytest.fixture
def made(tmp_path: Path) -> Made:
    run = write_run(tmp_path)
    (run.inputs / "second.jsonl").unlink()  # of another run
    return run


def faults_of(folder: Path) -> list[str]:
    return [fault for check in verify(folder) for fault in check.faults]


def test_every_change_of_a_single_byte_is_found(made: Made) -> None:
    assert faults_of(made.output) == []
    files, draw = made.files(), random.Random(0)
    assert len(files) > 20
    for number in range(CHANGES):
        path = files[number % len(files)]
        before = path.read_bytes()
        changed = bytearray(before)
        place = draw.randrange(len(changed))
        changed[place] = draw.choice([byte for byte in range(256) if byte != changed[place]])
        path.write_bytes(changed)
        assert faults_of(made.output), (path, place, before[place], changed[place])
        path.write_bytes(before)
    assert faults_of(made.output) == []


def test_a_file_of_several_sets_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the images of a folder, some to be forgotten and some to be kept."""
    images = tmp_path / "images"
    images.mkdir()
    for name in "abc":
        (images / f"{name}.png").write_text(name)
    described = describe_source(images)
    data = {role: {**described, "rows": 1, "rows_sha256": role} for role in ("forget", "retain", "holdout")}
    made = write_run(tmp_path, data=data)
    (images / "b.png").write_text("changed")
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_file(path)

    monkeypatch.setattr("ngdiff.evidence.verify.sha256_file", counted)
    faults = faults_of(made.output)
    assert [fault.partition(":")[0] for fault in faults] == ["b.png is changed"] * 3
    assert sorted(path.name for path in read if path.parent == images) == ["a.png", "b.png", "c.png"]


def test_every_lost_file_of_the_output_is_found(made: Made) -> None:
    for path in (path for path in made.files() if path.is_relative_to(made.output)):
        if path.name in ("manifest.json", "SHA256SUMS"):
            continue  # without the first there is no run, without the second no checkpoint
        before = path.read_bytes()
        path.unlink()
        assert any("is missing" in fault for fault in faults_of(made.output)), path
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["model-00002.safetensors", "modeling_x.py", "merged_base/config.json"])
def test_a_file_that_a_model_would_be_read_with_does_not_belong_there(made: Made, name: str) -> None:
    (made.output / name).write_text("x")
    assert faults_of(made.output) == [f"{name} is not of this run"]


def test_white_space_of_the_manifest_counts(made: Made) -> None:
    path = made.output / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert read_sealed(path)[1] == "its contents were written in another form"


def test_inputs_that_are_gone_are_said_and_are_no_fault(made: Made) -> None:
    (made.inputs / "forget.jsonl").unlink()
    check = next(check for check in verify(made.output) if check.what.startswith("rows: forget"))
    assert (check.faults, check.note) == ((), "no longer where it was")
    (made.inputs / "base" / "model.safetensors").unlink()
    assert faults_of(made.output) == ["model.safetensors is missing"]


def test_texts_that_were_deleted_are_said_and_are_no_fault(made: Made) -> None:
    (made.output / "private" / "records_forget.jsonl").unlink()
    assert faults_of(made.output) == ["private/records_forget.jsonl is missing"]
    (made.output / "private").rmdir()
    assert faults_of(made.output) == []
    [check] = [check for check in verify(made.output) if check.note]
    assert (check.what, check.files) == ("files written to private/", 0)
    assert check.note == "deleted: the folder is no longer there"


def test_rows_that_a_run_made_are_no_file_that_cannot_be_hashed(tmp_path: Path) -> None:
    rows = {"source": "auto: the model's own answers to general questions", "rows": 3, "rows_sha256": "a" * 64}
    notes = [check.note for check in verify(write_run(tmp_path, data={"retain": rows}).output)]
    assert "made by the run, not read" in notes


def test_a_file_beside_those_of_a_checkpoint(made: Made) -> None:
    (checkpoint_folder(made.output, 3) / "modeling.py").write_text("")
    assert faults_of(made.output) == ["modeling.py is not of this run"]


def test_what_came_from_the_hub_has_no_hashes(tmp_path: Path) -> None:
    made = write_run(tmp_path, model={"source": "owner/name", "revision": None})
    assert verify(made.output)[3].note == "not local files: not hashed"


def test_a_run_that_did_not_end(tmp_path: Path) -> None:
    made = write_run(tmp_path, extra={"finished": False})
    with pytest.raises(InputError, match="has not ended"):
        verify(made.output)


def chain(tmp_path: Path) -> tuple[Made, Made]:
    first = write_run(tmp_path)
    seal = read_sealed(first.output / "manifest.json")[0]["sha256"]
    after = {"place": str(first.output), "sha256": seal, "requests": []}
    return first, write_run(tmp_path, "later", forget="second.jsonl", after=after)


def test_the_chain_is_walked(tmp_path: Path) -> None:
    first, later = chain(tmp_path)
    assert faults_of(later.output) == []
    assert any(check.what == "request before (1): files written" for check in verify(later.output))
    (first.output / "report" / "curves.png").write_text("other")
    assert any(fault.startswith("report/curves.png is changed") for fault in faults_of(later.output))


def test_a_manifest_that_was_made_anew_has_another_seal(tmp_path: Path) -> None:
    first, later = chain(tmp_path)
    path = first.output / "manifest.json"
    path.write_text(json_text(sealed({**json.loads(path.read_text()), "seed": 4})))
    assert faults_of(first.output) == []
    assert any("its seal is not the one that the later run names" in fault for fault in faults_of(later.output))
    path.unlink()
    assert verify(later.output)[-1].note == "no longer there"


def test_the_command(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made.output), "--json", str(tmp_path / "v.json")]) == DONE
    assert "files are as they were" in capsys.readouterr().out
    assert {row["note"] for row in json.loads((tmp_path / "v.json").read_text())} == {""}
    (made.output / "report" / "curves.png").write_text("x")
    assert main(["verify", str(made.output)]) == NOT_AS_WRITTEN
    out, err = capsys.readouterr()
    assert "files written" in out
    assert "report/curves.png is changed: expected SHA-256" in err
    assert main(["verify", str(tmp_path)]) == BAD_INPUT
    assert main(["verify", str(tmp_path), str(tmp_path)]) == BAD_INPUT


def test_it_does_not_wait_for_torch(made: Made) -> None:
    command = f"main(['verify', {str(made.output)!r}])"
    code = f"import sys; from ngdiff.cli import main; {command}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
