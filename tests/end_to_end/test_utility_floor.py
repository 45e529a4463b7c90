"""`ngdiff unlearn --utility-floor`: what the command hands over, records and reports."""

import json

from ngdiff.exit_codes import RUINED_MODEL

from .runs import run, succeeded

DESTROYING = {"weighting": "ga", "learning_rate": 0.1, "optim": "adamw_torch", "forget_ceiling": "none"}


def test_a_model_that_loses_its_utility_is_not_handed_over(material, tmp_path):
    folder = tmp_path / "u"
    options = {**DESTROYING, "utility_floor": 0.9, "max_steps": 3, "max_retain_loss": "none"}
    outcome = run(*material.words(folder, **options))
    assert outcome.status == RUINED_MODEL
    assert "its Utility fell from" in outcome.error
    figures = json.loads((folder / "manifest.json").read_text())["extra"]["utility_floor"]
    assert figures["last"] < figures["least"] < figures["before"]
    assert (folder / "ruined" / "model.safetensors").is_file()


def test_one_that_keeps_it_is(material, tmp_path):
    folder = tmp_path / "u"
    succeeded(run(*material.words(folder, utility_floor=0.01, max_steps=2, learning_rate=1e-5)))
    figures = json.loads((folder / "manifest.json").read_text())["extra"]["utility_floor"]
    assert (figures["kept_step"], figures["kept"]) == (2, figures["last"])


def test_a_dry_run_knows_it(material, tmp_path):
    succeeded(run(*material.words(tmp_path / "u", "--dry-run", utility_floor=0.9)))
