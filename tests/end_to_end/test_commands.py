"""The commands as functions."""

import json
import shutil
import subprocess
import sys

import pytest

import ngdiff
from ngdiff import commands
from ngdiff.errors import InputError

from .runs import run as command_line
from .runs import twin


@pytest.fixture(scope="module")
def runs(material, tmp_path_factory):
    """An unlearning run and an evaluation, and their folder."""
    place = tmp_path_factory.mktemp("functions")
    run = ngdiff.unlearn(material.model, material.forget, material.retain, place / "run", max_steps=1, seed=3)
    sets = {"forget": material.forget, "retain": material.retain}
    scores = ngdiff.evaluate(run.folder, place / "scores", **sets)
    ngdiff.evaluate(material.model, place / "before", **sets)
    return run, scores, place


def test_a_run_is_that_of_the_command_line(material, runs):
    run, _, place = runs
    words = material.words(place / "other", method=None, keep_checkpoints=None, max_steps=1, seed=3)
    assert command_line(*words).status == 0
    other = json.loads((place / "other" / "manifest.json").read_text())
    assert run.manifest["extra"]["losses_after"] == other["extra"]["losses_after"]
    assert run.manifest["outputs"].keys() == other["outputs"].keys()
    assert run.manifest["outputs"]["model.safetensors"] == other["outputs"]["model.safetensors"]
    assert run.losses["forget"] == (other["extra"]["losses_before"]["forget"], other["extra"]["losses_after"]["forget"])


def test_a_run_shows_itself(runs):
    run, _, _ = runs
    before, after = run.losses["forget"]
    assert f"forget loss: {before:.4f} before, {after:.4f} after" in str(run)
    assert f"<td>forget</td><td>{before:.4f}</td><td>{after:.4f}</td>" in run._repr_html_()
    assert "loss, nats per token" in run._repr_html_()
    assert run.curves == run.folder / "report" / "curves.png"
    assert run.log[0]["step"] == 1


def test_an_evaluation_shows_itself(runs):
    _, scores, _ = runs
    assert scores.metrics["forget"]["n"] > 0
    assert "Verbmem" in str(scores)
    assert scores._repr_html_().startswith("<pre>")


def test_the_records_of_an_evaluation(runs, material):
    _, scores, _ = runs
    assert scores.records.keys() == {"forget", "retain"}
    assert len(scores.records["forget"]) == scores.metrics["forget"]["n"]
    assert scores.records["forget"][0]["prompt"].startswith("Question: ")
    (scores.folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        _ = commands.Evaluation(scores.folder / "empty").records


def test_an_evaluation_gets_numbers_that_take_another_one(runs, tmp_path):
    _, scores, place = runs
    copy = shutil.copytree(scores.folder, tmp_path / "copy")
    assert "distance" not in scores.metrics
    with pytest.raises(InputError, match=f"--retrained {scores.folder}: it has the weights of the model itself"):
        commands.score(copy, before=place / "before", retrained=scores.folder)
    other = shutil.copytree(scores.folder / "private", tmp_path / "other" / "private")  # records of nobody knows whom
    scored = commands.score(copy, before=place / "before", retrained=other.parent)
    assert scored.folder == copy
    assert scored.metrics["distance"]["parts"]["loss"]["reference"] == scores.metrics["forget"]["loss"]
    assert scored.metrics["forget"] == scores.metrics["forget"]
    with pytest.raises(InputError, match=r"score\(\): befor is no option of ngdiff score; did you mean --before"):
        commands.score(copy, befor=scores.folder)


def test_a_comparison(runs):
    _, scores, _ = runs
    table = ngdiff.compare({"a": scores.folder, "b": scores.folder}, metrics=["forget.loss"])
    loss = scores.metrics["forget"]["loss"]
    assert table.values() == {"a": {"forget.loss": loss}, "b": {"forget.loss": loss}}
    assert table.to("markdown").startswith("| method |")
    assert "forget" in table._repr_html_()
    with pytest.raises(InputError, match="pdf is no form of a table; one of text, markdown"):
        table.to("pdf")


def test_results_stand_for_their_folders(runs):
    run, scores, place = runs
    by_path = ngdiff.compare({"a": place / "scores"}).values()
    assert ngdiff.compare({"a": scores}).values() == by_path
    assert list(ngdiff.compare(scores).values()) == list(ngdiff.compare(str(place / "scores")).values()) == ["scores"]
    before = commands.Evaluation(place / "before")
    page = commands.report(run, scores=scores, before=before, output=place / "objects.html")
    assert page.is_file()
    assert commands.score(scores, before=before).folder == scores.folder


def test_a_dry_run_has_nothing_to_return(material, tmp_path):
    with pytest.raises(InputError, match=r"use ngdiff unlearn --dry-run"):
        ngdiff.unlearn(material.model, material.forget, material.retain, tmp_path / "x", dry_run=True)


@pytest.mark.parametrize("given", [object(), [{"question": "Who?", "answer": "Orla."}]])
def test_what_is_in_memory_is_for_the_trainer(material, tmp_path, given):
    for model, forget in ((given, material.forget), (material.model, given)):
        with pytest.raises(InputError, match=r"that are in memory are for ngdiff\.UnlearnTrainer"):
            ngdiff.unlearn(model, forget, material.retain, tmp_path / "u")


def test_a_page(runs):
    run, scores, place = runs
    page = commands.report(run.folder, scores=scores.folder, output=place / "page.html")
    assert page.read_text().startswith("<!")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_step": 1}, r"unlearn\(\): max_step is no option of ngdiff unlearn; did you mean --max-steps\?"),
        ({"max_steps": {1}}, r"unlearn\(\): max_steps holds a set"),
        ({"task": "sound"}, "task='sound' is not known; one of text, image"),
        ({"method": "no-such"}, "no-such"),
    ],
)
def test_what_cannot_be_used_is_told(material, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        ngdiff.unlearn(material.model, material.forget, material.retain, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_names_of_functions_are_imported_on_first_use():
    code = "import sys, ngdiff; ngdiff.unlearn; ngdiff.compare; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_missing_is_named(material):
    with pytest.raises(InputError, match="ngdiff unlearn needs --retain, --output"):
        ngdiff.unlearn(material.model, material.forget)


def test_a_fine_tuning_run_has_losses_and_no_log(material, tmp_path):
    run = ngdiff.finetune(material.model, material.retain, tmp_path / "m", max_steps=1, stop_loss="none")
    assert run.log == []
    assert list(run.losses) == ["train"]
    assert "train loss" in str(run)


def test_an_audit_shows_itself(material, tmp_path):
    found = commands.audit(
        material.model,
        material.forget,
        material.retain,
        tmp_path / "a",
        retrained=twin(material.model, tmp_path / "twin"),
        attacks="prefix",
    )
    assert found.robustness == 1.0
    assert "Robustness 1.000, over prefix" in str(found)
    assert "prefix" in found._repr_html_()
