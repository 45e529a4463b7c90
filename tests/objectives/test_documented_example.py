"""The objective that docs/methods.md shows runs as it stands there."""

import re
import sys
from pathlib import Path

import torch

from ngdiff.core.answers import Answers
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.objectives.resolve import resolve_objective

DOCS = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_example(tmp_path, monkeypatch):
    text = DOCS.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(# my_objectives\.py\n.*?)```", text, flags=re.DOTALL)
    (word,) = re.findall(r'--forget-objective "(my_objectives:[^"]+)"', text)
    (tmp_path / "my_objectives.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_objectives", raising=False)
    objective = resolve_objective(word, FORGET_OBJECTIVES, "--forget-objective")
    assert objective(Answers(torch.tensor([1.0, 9.0]), torch.tensor([0, 0]), rows=1)).item() == -6.0
    assert objective.unit == "token"


def test_every_objective_stands_in_the_tables():
    named = set(re.findall(r"^\| `(\w+)", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {*FORGET_OBJECTIVES, *RETAIN_OBJECTIVES} <= named
