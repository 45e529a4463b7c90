"""docs/methods.md names every objective."""

import re
from pathlib import Path

from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES

DOCS = Path(__file__).parents[2] / "docs" / "methods.md"


def test_every_objective_stands_in_the_tables():
    named = set(re.findall(r"^\| `(\w+)", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {*FORGET_OBJECTIVES, *RETAIN_OBJECTIVES} <= named
