"""Signals of runs on images: as those on texts."""

import os
import signal

import pytest

from ngdiff.exit_codes import STOPPED_RESUMABLE

from ..end_to_end.runs import run, succeeded, weights_of
from .images import finetune_words, images, unlearn_words
from .stopped import said

__all__ = ["images"]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def test_finetune_crops_as_it_would_have(images, tmp_path, in_step):
    def words(name: str) -> list[object]:
        return [*finetune_words(images, tmp_path / name), "--num-train-epochs", 3]

    in_step(5, signal.SIGTERM)  # within the second pass
    outcome = run(*words("run"))
    assert outcome.status == STOPPED_RESUMABLE, outcome.err
    assert said(outcome).startswith("stopped by SIGTERM after step 5 of 9; ")
    succeeded(run(*words("run"), "--resume"))
    succeeded(run(*words("whole")))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_unlearn(images, tmp_path, in_step):
    def words(name: str) -> list[object]:
        options = ["--num-train-epochs", 2, "--save-strategy", "no", "--max-retain-loss", "none"]
        return [*unlearn_words(images, tmp_path / name), *options]

    in_step(2, signal.SIGINT)
    outcome = run(*words("run"))
    assert outcome.status == STOPPED_RESUMABLE, outcome.err
    assert said(outcome).startswith("stopped by Ctrl-C after step 2 of ")
    succeeded(run(*words("run"), "--resume"))
    succeeded(run(*words("whole")))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
