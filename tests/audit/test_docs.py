"""The attack of docs/audit.md, as it stands there; the table of attacks."""

import re
from pathlib import Path

from ngdiff.audit import ATTACKS, run_attack

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_the_attack_of_the_page_runs(bed, tiny, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    monkeypatch.setattr("ngdiff.audit.ATTACKS", dict(ATTACKS))
    names = {}
    exec(compile(code, "docs/audit.md", "exec"), names)
    assert names["ATTACKS"].keys() - ATTACKS.keys() == {"noise"}
    assert list(run_attack(names["ATTACKS"]["noise"], tiny(0), bed)) == ["1 % noise", "5 % noise"]


def test_the_table_has_every_attack():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == list(ATTACKS)
