"""The request, as a page shows it."""

from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("model", "source", "note"),
    [
        ({"shape": "llama-tiny"}, "llama-tiny", "random weights of this shape"),
        ({"source": "owner/name", "revision": None}, "owner/name", "from the hub; its revision is not known"),
        ({"source": "owner/name", "revision": "abc"}, "owner/name", "revision abc"),
        ({"source": "target", "files": {WEIGHTS: "b" * 64}}, "target", ""),
    ],
)
def test_where_the_model_before_came_from(tmp_path: Path, model: dict[str, Any], source: str, note: str) -> None:
    made = make_run(tmp_path / "run", model=model)
    before = asked(Run(made, *read_run(made))).models[0]
    assert (before.source, before.note) == (source, note)
