"""Whether a run may go on where another one stopped."""

import json
import shutil

import pytest

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.checksums import write_checksums
from ngdiff.cli.resume import found_done, refuse_other_run
from ngdiff.errors import InputError
from ngdiff.manifest import write_manifest
from ngdiff.training.checkpoint import keep_run_files

SETTINGS = {"method": "ngdiff", "max_steps": 4}
RUN = {"data": {"forget": {"rows": 2, "rows_sha256": "ab"}}, "model": {"source": "owner/name"}}


@pytest.fixture
def folder(tmp_path):
    """A run that is done, with one file and one checkpoint."""
    run = tmp_path / "run"
    checkpoint_folder(run, 4).mkdir(parents=True)
    write_manifest(run, command=["ngdiff"], config=SETTINGS, template=None, seed=0, extra={"finished": False}, **RUN)
    (checkpoint_folder(run, 4) / "weights").write_text("1 2 3")
    keep_run_files(run, checkpoint_folder(run, 4))
    write_checksums(checkpoint_folder(run, 4))
    (run / "model").write_text("1 2 3")
    extra = {"finished": True}
    write_manifest(
        run, command=["ngdiff"], config=SETTINGS, template=None, seed=0, extra=extra, outputs=["model"], **RUN
    )
    return run


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_done_is_what_ended_as_far_and_is_whole(folder, caplog):
    refuse_other_run(str(folder), SETTINGS, **RUN)
    assert found_done(str(folder), SETTINGS)
    assert not found_done(str(folder), {**SETTINGS, "max_steps": 5})
    flip(folder / "model")
    assert not found_done(str(folder), SETTINGS)
    assert "no longer whole (model is damaged: expected SHA-256" in caplog.text
    (folder / "model").unlink()
    assert not found_done(str(folder), SETTINGS)
    assert "(model is missing)" in caplog.text


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "flipped": lambda path: path.write_text(path.read_text().replace("1", "2", 1).replace("ngdiff", "ngdifg", 1)),
    "no text": lambda path: path.write_bytes(b"\xff\xfe{"),
    "another kind": lambda path: path.write_text("[]"),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("name", ["config.yaml", "manifest.json"])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_manifest_or_config_is_not_believed(folder, caplog, name, how):
    DAMAGE[how](folder / name)
    refuse_other_run(str(folder), SETTINGS, **RUN)  # from the copy in the checkpoint
    assert f"{folder / name} is" in caplog.text
    assert "its copy in checkpoint-4 is read" in caplog.text
    with pytest.raises(InputError, match="has --method ngdiff, not gd"):
        refuse_other_run(str(folder), {**SETTINGS, "method": "gd"}, **RUN)
    flip(checkpoint_folder(folder, 4) / "weights")
    with pytest.raises(InputError, match=rf"--resume: {folder / name} is .*no complete checkpoint has a copy"):
        refuse_other_run(str(folder), SETTINGS, **RUN)
    shutil.rmtree(checkpoint_folder(folder, 4))
    if (name, how) == ("config.yaml", "missing"):  # as of a run that was killed before it was written: it starts anew
        refuse_other_run(str(folder), SETTINGS, **RUN)
        return
    with pytest.raises(InputError, match=rf"--resume: {folder / name} is "):
        refuse_other_run(str(folder), SETTINGS, **RUN)


def test_a_manifest_with_one_other_value_is_not_believed(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["extra"]["rows_per_step"] = 4
    (folder / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(checkpoint_folder(folder, 4))
    with pytest.raises(InputError, match="is not as it was written"):
        refuse_other_run(str(folder), SETTINGS, **RUN)


@pytest.mark.parametrize("now", [True, False])
def test_checkpoints_of_weights_alone_are_refused(folder, now):
    before = {**SETTINGS, "save_only_model": True}
    write_manifest(folder, command=["ngdiff"], config=before, template=None, seed=0, **RUN)
    with pytest.raises(InputError, match="--save-only-model hold no state of the optimizer"):
        refuse_other_run(str(folder), before if now else SETTINGS, **RUN)


def test_own_code_and_answers_are_compared(folder):
    own = {"idk-file": {"source": "a.txt", "sha256": "01"}, "weighting": {"source": "m:f", "files": {"m": "02"}}}
    config = {"config": SETTINGS, "command": ["ngdiff"], "template": None, "seed": 0}
    write_manifest(folder, own=own, **config, **RUN)
    refuse_other_run(str(folder), SETTINGS, own={**own, "idk-file": {"source": "b.txt", "sha256": "01"}}, **RUN)
    with pytest.raises(InputError, match="--idk-file does not hold what it held"):
        refuse_other_run(str(folder), SETTINGS, own={**own, "idk-file": {"source": "a.txt", "sha256": "03"}}, **RUN)
    with pytest.raises(InputError, match="--weighting does not hold what it held"):
        refuse_other_run(
            str(folder), SETTINGS, own={**own, "weighting": {"source": "m:f", "files": {"m": "04"}}}, **RUN
        )


IMPLIED = {
    **SETTINGS,
    "method": "auto",
    "holdout": "auto",
    "preset": None,
    "autolr_batch": "fresh",
    "learning_rate": "auto",
}


def begun(folder, settings, command=("ngdiff", "unlearn"), **data):
    held = {name: {"rows": 2, "rows_sha256": digest} for name, digest in data.items()}
    write_manifest(
        folder, command=command, config=settings, data=held, model=RUN["model"], template=None, seed=0, extra={}
    )


def refusal(folder, settings, words=(), **data):
    held = {name: {"rows": 2, "rows_sha256": digest} for name, digest in data.items()}
    with pytest.raises(InputError) as caught:
        refuse_other_run(str(folder), settings, data=held, model=RUN["model"], words=words)
    return str(caught.value).partition(f"--resume: the run in {folder} ")[2] or str(caught.value)


def test_the_option_that_the_user_typed_is_named(folder):
    """A method or a preset changes other options and sets, which nobody typed."""
    begun(folder, IMPLIED, forget="a", holdout="made up")
    other = {**IMPLIED, "method": "npo", "holdout": None, "autolr_batch": "same"}
    assert refusal(folder, other, ["--method=npo"], forget="a").startswith("has --method auto, not npo; give the same")
    preset = {**IMPLIED, "preset": "paper", "holdout": None, "autolr_batch": "same"}
    assert refusal(folder, preset, ["--preset", "paper"], forget="a").startswith("was begun without --preset paper;")
    rate = {**IMPLIED, "learning_rate": 1e-4}
    assert refusal(folder, rate, ["--lr", "1e-4"], forget="a").startswith("has --lr auto, not 0.0001;")
    begun(folder, preset, ["ngdiff", "unlearn", "--preset=paper"], forget="a")
    assert refusal(folder, IMPLIED, forget="a", holdout="made up").startswith("was begun with --preset paper;")


def test_a_set_that_was_given_to_one_of_the_runs(folder):
    begun(folder, IMPLIED, forget="a", holdout="made up")
    own = {**IMPLIED, "holdout": "h.jsonl"}
    assert refusal(folder, own, forget="a", holdout="b").startswith("has --holdout auto, not h.jsonl; give the same")
    begun(folder, own, forget="a", holdout="b")
    without = {**IMPLIED, "holdout": None}
    assert refusal(folder, without, forget="a").startswith("was begun with --holdout h.jsonl; give the same")
    begun(folder, without, forget="a")
    assert refusal(folder, own, forget="a", holdout="b").startswith("was begun without --holdout h.jsonl; give the")


@pytest.mark.parametrize("option", ["dataset", "benchmark"])
def test_sets_that_come_together_are_named_by_their_option(folder, option):
    settings = {option: "somewhere", "forget_class": "dog", "forget": None}
    begun(folder, settings, forget="a", retain="b")
    assert refusal(folder, settings, forget="c", retain="b").startswith(f"--resume: --{option} does not hold what it")


def test_the_file_that_names_images_is_named_before_the_images(folder):
    own = {"forget-images": {"source": "a.txt", "sha256": "x"}}
    settings = {"dataset": "somewhere", "forget_images": "a.txt"}
    held = {"forget": {"rows": 2, "rows_sha256": "ab"}}
    write_manifest(
        folder,
        command=["ngdiff", "unlearn"],
        config=settings,
        data=held,
        model=RUN["model"],
        template=None,
        seed=0,
        own=own,
        extra={},
    )
    moved = {"dataset": "somewhere", "forget_images": "b.txt"}
    again = {"forget-images": {"source": "b.txt", "sha256": "x"}}
    refuse_other_run(str(folder), moved, data=held, model=RUN["model"], own=again)
    other, images = {"forget-images": {"source": "a.txt", "sha256": "y"}}, {"forget": {"rows": 2, "rows_sha256": "c"}}
    with pytest.raises(InputError, match="--resume: --forget-images does not hold what it held when"):
        refuse_other_run(str(folder), settings, data=images, model=RUN["model"], own=other)
    with pytest.raises(InputError, match=r"was begun with --forget-images a\.txt; give the same"):
        refuse_other_run(str(folder), {**settings, "forget_images": None}, data=images, model=RUN["model"])


def test_switches(folder):
    begun(folder, {"generate": True, "grad_norm": False})
    assert refusal(folder, {"generate": False, "grad_norm": False}, ["--no-generate"]).startswith(
        "was begun without --no-generate;"
    )
    assert refusal(folder, {"generate": True, "grad_norm": True}, ["--grad-norm"]).startswith(
        "was begun without --grad-norm;"
    )
