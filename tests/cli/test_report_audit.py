"""Results of `ngdiff audit` on the page of a request."""

import re
from pathlib import Path

import pytest

from ngdiff.cli import main

from ..report.made import data, make_audit, make_evaluation, make_run

SCRIPT = "<script>alert(1)</script>|*b*"


def page_of(target: Path, *words: object) -> str:
    assert main(["report", *map(str, words), "--output", str(target), "--overwrite"]) == 0
    return target.read_text(encoding="utf-8")


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["report", *map(str, words), "--output", "page.html"]) == 2
    return capsys.readouterr().err.removeprefix("ngdiff: error: ").rstrip("\n")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    found = make_run(tmp_path / "run")
    make_evaluation(tmp_path / "scores", found)
    return found


def test_an_audit_beside_the_run_is_found_by_its_weights(run: Path, tmp_path: Path) -> None:
    assert "Does it stay forgotten?" not in page_of(tmp_path / "p.html", run)
    make_audit(tmp_path / "other audit", make_run(tmp_path / "other", "other weights"))
    assert "Does it stay forgotten?" not in page_of(tmp_path / "p.html", run)
    make_audit(tmp_path / "audit", run)
    page = page_of(tmp_path / "p.html", run)
    assert '<h2 id="audit">' in page
    assert "Robustness over the attacks: 0.857" in page
    assert re.findall(r'<td class="bad">comes back</td>|<td>not beyond chance</td>', page) == [
        '<td class="bad">comes back</td>',
        "<td>not beyond chance</td>",
    ]
    assert "never saw the rows: quantise (tried: quantise, prune)." in page
    assert "relearn: not asked for (--attacks)" in page
    assert "The attacks above were tried" in page
    assert "ngdiff audit tries it" not in page
    assert "holds</span>: The weights attacked by the audit are those that the run wrote." in page
    assert "## Does it stay forgotten?" in page_of(tmp_path / "p.md", run)


def test_an_audit_that_is_named(run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "far").mkdir()
    audit = make_audit(tmp_path / "far" / "audit", run, data=data(forget="0" * 64))
    page = page_of(tmp_path / "p.html", run, "--audit", audit)
    assert "Does not hold:</strong> The rows of the audit are those of the request." in page
    make_audit(tmp_path / "one", run)
    make_audit(tmp_path / "two", run)
    assert "has several audits" in fails(capsys, run)
    page_of(tmp_path / "p.html", run, "--audit", tmp_path / "one" / "audit.json")


def test_without_a_reference_nothing_is_said_to_come_back(run: Path, tmp_path: Path) -> None:
    make_audit(tmp_path / "audit", run, reference=None)
    page = page_of(tmp_path / "p.html", run)
    assert "Attacks were tried, without a reference" in page
    assert "verbmem 0.5000" in page
    assert "comes back" not in page


def test_texts_of_an_audit_stay_texts(run: Path, tmp_path: Path) -> None:
    make_audit(tmp_path / "audit", run, content={"not_run": {SCRIPT: SCRIPT}})
    assert page_of(tmp_path / "p.html", run).count("<script") == 1  # our own
    assert re.findall(r"(?<!\\)<", page_of(tmp_path / "p.md", run)) == []


def test_what_cannot_be_used(run: Path, tmp_path: Path, capsys) -> None:
    assert "there is no audit.json" in fails(capsys, run, "--audit", tmp_path)
    audit = make_audit(tmp_path / "audit", run)
    text = (audit / "audit.json").read_text()
    (audit / "audit.json").write_text(text.replace("0.857", "0.999"))
    assert "is not as the audit wrote it" in fails(capsys, run, "--audit", audit)
    for content in ("{", "[]", "{}", '{"reference": 1, "robustness": "x", "attacks": {}, "not_run": {}}'):
        (audit / "audit.json").write_text(content)
        assert "is no audit.json of ngdiff" in fails(capsys, run, "--audit", audit)
    assert "--audit x is for one run" in fails(capsys, run, run, "--audit", "x")


def test_what_the_run_read_may_have_changed(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "forget.jsonl"
    rows.write_text("{}\n")
    own = data()
    own["forget"] |= {"source": str(rows), "place": str(rows), "files": {"forget.jsonl": "a" * 64}}
    other = make_run(tmp_path / "second", "second", data=own)
    make_evaluation(tmp_path / "scores 2", other)
    page = page_of(tmp_path / "p.html", other)
    assert '<p class="alarm">' not in page
    assert "does not hold</span>: Unchanged since the run: rows: forget:" in page
    assert "not known</span>: Unchanged since the run: rows: retain: data/retain.jsonl." in page
