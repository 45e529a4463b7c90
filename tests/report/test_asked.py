"""The request, as a page shows it."""

from pathlib import Path

import pytest

from ngdiff.evidence.read_run import read_run
from ngdiff.report.asked import asked
from ngdiff.report.folders import Run

from .made import WEIGHTS, make_run


@pytest.mark.parametrize(("command", "first"), [("unlearn", "model before"), ("merge", "adapter that was merged")])
def test_the_adapter_of_a_merge_is_not_called_the_model_before(tmp_path: Path, command: str, first: str) -> None:
    model = {"source": "first", "files": {"adapter_model.safetensors": "b" * 64}}
    base = {"source": "base", "files": {WEIGHTS: "c" * 64}}
    made = make_run(tmp_path / "run", command=["ngdiff", command], model={**model, "base": base})
    found = asked(Run(made, *read_run(made))).models
    assert [(one.title, one.source) for one in found] == [
        (first, "first"),
        ("its base model", "base"),
        ("model after", str(made)),
    ]
