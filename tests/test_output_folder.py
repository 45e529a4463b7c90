"""Output folders and files that are never overwritten by accident."""

import os
import shutil
from pathlib import Path

import pytest

from ngdiff.data.sources import _locate
from ngdiff.errors import InputError
from ngdiff.file_names import MANIFEST
from ngdiff.output_folder import check_file, check_output, prepare_output
from ngdiff.paths import existing_path
from ngdiff.writing import write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder that an earlier run wrote."""
    folder = tmp_path / "run"
    (folder / "private").mkdir(parents=True)
    (folder / "private" / "records.jsonl").write_text("text")
    (folder / "model.safetensors").write_text("weights")
    write_json(folder / MANIFEST, {"versions": {"ngdiff": "0.0.1"}})
    return folder


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_new_or_empty_folder_is_made(tmp_path: Path, overwrite: bool) -> None:
    for _ in range(2):  # the second time it is there and empty
        assert prepare_output(tmp_path / "a" / "b", overwrite=overwrite).is_dir()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prepare_output("~/out") == tmp_path / "out"


def test_a_folder_in_use_is_refused_and_kept(run: Path) -> None:
    before = names(run)
    with pytest.raises(InputError, match=r"run is not empty; .*--overwrite or --resume"):
        prepare_output(run)
    assert names(run) == before


def test_overwrite_empties_a_folder_of_ours(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    (run / "link").symlink_to(outside)
    prepare_output(run, overwrite=True)
    assert names(run) == set()
    assert (outside / "kept").exists()


@pytest.mark.parametrize(
    "manifest", [None, "{", "[]", "{}", '{"versions": null}', '{"versions": {"other": "1"}}', "\udc80"]
)
def test_overwrite_keeps_a_folder_that_is_not_ours(run: Path, manifest: str | None) -> None:
    (run / MANIFEST).unlink()
    if manifest is not None:
        (run / MANIFEST).write_bytes(manifest.encode(errors="surrogateescape"))
    before = names(run)
    with pytest.raises(InputError, match=rf"--overwrite: .*run holds no {MANIFEST} of ngdiff"):
        prepare_output(run, overwrite=True)
    assert names(run) == before


def test_overwrite_keeps_what_the_run_reads(run: Path) -> None:
    before = names(run)
    for source in (run, run / "model.safetensors", run.parent / "run" / ".." / "run" / "private"):
        with pytest.raises(InputError, match=r"--overwrite would delete .*, which this run reads"):
            prepare_output(run, overwrite=True, inputs=["owner/model", source])
    assert names(run) == before
    prepare_output(run, overwrite=True, inputs=["owner/model", run.parent])
    assert names(run) == set()


def test_overwrite_keeps_data_that_is_named_with_a_split(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "r2.json").write_text("[]")
    monkeypatch.chdir(run.parent)
    before = names(run)
    for source in (f"{run / 'r2.json'}:q", "run/r2.json:q", f"{run}:r2", "run:r2", "run/private:records"):
        with pytest.raises(InputError) as caught:
            prepare_output(run, overwrite=True, inputs=[source])
        assert str(caught.value) == f"--overwrite would delete {source}, which this run reads; choose another --output."
    assert names(run) == before


def test_overwrite_keeps_what_a_data_folder_links_to(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "forget.jsonl").symlink_to(run / "private" / "records.jsonl")
    with pytest.raises(InputError, match=r"--overwrite would delete .*data:forget, which this run reads"):
        prepare_output(run, overwrite=True, inputs=[f"{tmp_path / 'data'}:forget"])


def test_overwrite_does_not_mind_other_inputs(run: Path) -> None:
    (run.parent / "other.json").write_text("[]")
    prepare_output(run, overwrite=True, inputs=["owner/data:train", f"{run.parent / 'other.json'}:q", "no/file.json:q"])
    assert names(run) == set()


def test_commands_without_resume_do_not_propose_it(run: Path) -> None:
    for resumable, ways in ((True, "--overwrite or --resume"), (False, "--overwrite")):
        with pytest.raises(InputError) as caught:
            prepare_output(run, resumable=resumable)
        assert str(caught.value) == f"--output {run} is not empty; choose another folder, or give {ways}."


def test_existing_path_is_where_rows_are_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b" / "c.json").write_text("[]")
    sources = ("a:b", "a:b:c", "a:b/c.json", "a:b/c.json:q", "a", "a:c", "owner/data:train", "~/a:b", "~/a:b:c", "")
    for source in sources:
        assert existing_path(source) == _locate(source)[0]
    assert existing_path("a:b:c") == Path("a:b")
    assert existing_path("~/a:b:c") == tmp_path / "a:b"


def test_an_interrupted_overwrite_can_be_overwritten(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(OSError, match="interrupted"):
            prepare_output(run, overwrite=True)
    assert names(run)
    prepare_output(run, overwrite=True)
    assert names(run) == set()


def test_resume_takes_the_folder_as_it_is(run: Path) -> None:
    before = names(run)
    assert prepare_output(run, resume=True) == run
    assert names(run) == before


def test_resume_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--resume: .* holds no run to continue"):
        prepare_output(tmp_path / "none", resume=True)
    assert prepare_output(tmp_path, resume=True) == tmp_path  # of a run that was killed before its first file, say


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_what_a_kill_leaves_of_the_first_file_is_no_obstacle(tmp_path: Path, options: dict[str, bool]) -> None:
    (tmp_path / f".{MANIFEST}.4711.partial").write_text('{"versions"')
    (tmp_path / ".partial-abcd1234").mkdir()
    (tmp_path / ".partial-abcd1234" / "model.safetensors").write_text("half")
    prepare_output(tmp_path, **options)
    assert names(tmp_path) == set()


def test_only_leftovers_of_ours_are_removed(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "private" / ".records_forget.jsonl.4711.partial").write_text("a text")
    (run / "report").mkdir()
    (run / "report" / ".training_log.json.4711.partial").write_text('{"steps"')
    (run / ".partial-0_9zaaaa").mkdir()
    (run / ".partial-linked__").symlink_to(outside)
    for name in (".partial-mine", ".partial-abcd12345", "partial-abcd1234"):
        (run / name).mkdir()
    for name in ("notes.4711.partial", ".notes.partial", ".partial-abcd5678"):
        (run / name).write_text("mine")
    half = {"private/.records_forget.jsonl.4711.partial", "report/.training_log.json.4711.partial", ".partial-0_9zaaaa"}
    kept = names(run) - half
    prepare_output(run, resume=True)
    assert names(run) == kept


def test_a_folder_that_may_not_be_written_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--output .*file/run: .*file is a file, so there can be no folder below it"):
        check_output(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match=rf"--output .*b: {tmp_path} may not be written by this user"):
        check_output(tmp_path / "a" / "b")
    with pytest.raises(InputError, match=rf"--figure .*f.png: {tmp_path} may not be written by this user"):
        check_file(tmp_path / "f.png", option="--figure")


def test_contradicting_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--overwrite and --resume contradict"):
        prepare_output(tmp_path, overwrite=True, resume=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"--output .*out: this is a file"):
        prepare_output(tmp_path / "out", overwrite=True)


def test_a_file_to_be_written_is_checked_before(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("mine")
    check_file(tmp_path / "new.json")
    check_file(there, overwrite=True, inputs=[tmp_path / "other"])
    for file, options, message in (
        (there, {}, r"--output .*there\.json exists; choose another file, or give --overwrite"),
        (there, {"option": "--figure"}, r"--figure .*there\.json exists"),
        (there, {"overwrite": True, "inputs": [there]}, r"there\.json is a file that is read; choose another"),
        (tmp_path, {"overwrite": True}, "this is a folder; give a file"),
        (tmp_path / "no" / "new.json", {}, r"the folder .*no does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            check_file(file, **options)
    (tmp_path / "link.json").symlink_to(there)
    with pytest.raises(InputError, match="is a file that is read"):
        check_file(tmp_path / "link.json", overwrite=True, inputs=[there])
    assert names(tmp_path) == {"there.json", "link.json"}
