"""Which evaluation belongs to which run."""

import json
import shutil
from pathlib import Path

import pytest

from ngdiff.errors import InputError
from ngdiff.report.folders import read_evaluation, read_subject

from .made import make_evaluation, make_run


def test_a_run_and_its_evaluation_find_each_other(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    scores = make_evaluation(tmp_path / "scores", run)
    make_evaluation(tmp_path / "of-another", make_run(tmp_path / "other", weights="others"))
    for word, name in ((str(run), "run"), (str(scores), "scores"), (f"mine={run}", "mine")):
        subject = read_subject(word)
        assert subject.name == name
        assert subject.run is not None
        assert subject.run.folder.resolve() == run
        assert subject.evaluation.folder.resolve() == scores
    assert read_subject(str(scores / "metrics.json")).name == "scores"


def test_an_evaluation_in_the_folder_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    scores = make_evaluation(run / "scores", run)
    assert read_subject(str(run)).evaluation.folder == scores
    found = read_subject(str(scores)).run
    assert found is not None
    assert found.folder.resolve() == run


def test_a_folder_that_was_moved_is_known_by_its_weights(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    make_evaluation(tmp_path / "scores", run)
    shutil.move(run, tmp_path / "moved" / "run")
    shutil.move(tmp_path / "scores", tmp_path / "moved" / "scores")
    subject = read_subject(str(tmp_path / "moved" / "scores"))
    assert subject.run is not None
    assert subject.run.folder == tmp_path / "moved" / "run"


def test_a_model_without_a_run_of_ours(tmp_path: Path) -> None:
    assert read_subject(str(make_evaluation(tmp_path / "target"))).run is None


def test_a_file_of_metrics_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    scores = make_evaluation(tmp_path / "elsewhere" / "scores", run)
    (scores / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"no evaluation of .*run is in it or beside it"):
        read_subject(str(run))
    assert read_subject(str(run), str(scores / "metrics.json")).evaluation.file == scores / "metrics.json"


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    run, other = make_run(tmp_path / "run"), make_run(tmp_path / "other", weights="others")
    make_evaluation(tmp_path / "scores", run)
    with pytest.raises(InputError, match=r"--scores .*scores evaluates other weights than .*other holds"):
        read_subject(str(other), str(tmp_path / "scores"))
    with pytest.raises(InputError, match=r"--scores .* is for the folder of a run"):
        read_subject(str(tmp_path / "scores"), str(tmp_path / "scores"))
    make_evaluation(tmp_path / "again", run)
    with pytest.raises(InputError, match=r"run has several evaluations: .*again, .*scores; name one with --scores"):
        read_subject(str(run))
    assert read_subject(str(run), str(tmp_path / "again")).evaluation.folder == tmp_path / "again"


def test_a_run_that_was_repeated_since(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    scores = make_evaluation(tmp_path / "scores", run)
    shutil.rmtree(run)
    make_run(run, weights="of another seed")
    for word in (run, scores):
        with pytest.raises(InputError, match=r"scores evaluates .*run as it was before: the weights differ"):
            read_subject(str(word))


def test_runs_that_cannot_be_used(tmp_path: Path) -> None:
    run = make_run(tmp_path / "begun", extra={"finished": False})
    with pytest.raises(InputError, match=r"the run in .*begun is not finished"):
        read_subject(str(run))
    with pytest.raises(InputError, match="nothing: no such file or folder"):
        read_subject(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty and its folders contain no metrics\.json"):
        read_subject(str(tmp_path / "empty"))
    damaged = make_run(tmp_path / "damaged")
    manifest = json.loads((damaged / "manifest.json").read_text())
    (damaged / "manifest.json").write_text(json.dumps({**manifest, "seed": 1}))
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        read_subject(str(damaged))


def test_an_evaluation_knows_whether_it_has_records(tmp_path: Path) -> None:
    assert read_evaluation(make_evaluation(tmp_path / "with")).has_records
    assert not read_evaluation(make_evaluation(tmp_path / "without", records=False)).has_records
