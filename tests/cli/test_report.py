"""`ngdiff report`: folders in, one page out, without torch."""

import json
import os
import re
import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main

from ..report.made import make_evaluation, make_run

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)> & | *b* _i_ `c` [a](javascript:alert(3))"
NAME = "<script>alert(0)</script>"


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["report", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its evaluation, and those of the models before and retrained."""
    folder = tmp_path_factory.mktemp("made")
    make_evaluation(folder / "scores", make_run(folder / "run"), holdout=True)
    make_evaluation(folder / "before", recall=1.0, loss=0.1, holdout=True)
    make_evaluation(folder / "retrained", recall=0.25, loss=4.0, holdout=True)
    return folder


def page_of(target: Path, *words: object) -> str:
    assert main(["report", *map(str, words), "--output", str(target), "--overwrite"]) == 0
    return target.read_text(encoding="utf-8")


def others(place: Path) -> list[object]:
    return ["--before", place / "before", "--retrained", place / "retrained"]


def headings(page: str) -> list[str]:
    return re.findall(r'<h2 id="(\w+)">', page)


def test_a_whole_page(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.html", place / "run", *others(place), "--include-texts")
    first, last = ("asked", "models", "method", "numbers"), ("samples", "limits", "signature")
    assert headings(page) == [*first, "distance", "worst", "curves", "all", *last]
    for text in ("f" * 64, "b" * 64, "D (retrained)", "D (holdout)", "Question 3?", "word0a", "weighed by ngdiff"):
        assert text in page
    said, before = (json.loads((place / name / "metrics.json").read_text())["verbmem"] for name in ("scores", "before"))
    assert f"says {100 * said:.3g} % of the words of their answers (before: {100 * before:.3g} %;" in page
    assert page.count('<figure class="chart">') == 5
    assert len(page.encode()) < 100_000


def test_a_page_of_an_evaluation_is_that_of_its_run(place: Path, tmp_path: Path) -> None:
    first, second = (page_of(tmp_path / "p.html", f"x={place / name}") for name in ("run", "scores"))
    assert first == second


def test_the_command_can_be_repeated_as_it_stands(tmp_path: Path) -> None:
    command = ["ngdiff", "unlearn", "--forget", "forget rows.csv", "--require", "forget.loss>=2"]
    make_evaluation(tmp_path / "scores", make_run(tmp_path / "run", command=command))
    page = page_of(tmp_path / "p.html", tmp_path / "run")
    assert shlex.join(command) in unescape(page)


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_the_page_says_what_was_checked_before_the_first_step(tmp_path: Path, suffix: str) -> None:
    finding = {"what": "near-duplicates in forget and retain", "severity": "doubtful", "found": "3 of 9", "advice": ""}
    run = make_run(tmp_path / "run", extra={"checks": [finding]})
    make_evaluation(tmp_path / "scores", run)
    page = page_of(tmp_path / f"p.{suffix}", run)
    assert "Checked before the first step" in page
    assert "near-duplicates in forget and retain: 3 of 9" in page


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_large_folder_is_listed_once_and_not_in_full(tmp_path: Path, suffix: str) -> None:
    files = {f"train/{number:03d}.png": f"{number:064x}" for number in range(60)}
    data = {
        role: {"source": "pets", "files": files, "rows": 30, "rows_sha256": "0" * 64} for role in ("forget", "retain")
    }
    run = make_run(tmp_path / "run", data=data)
    make_evaluation(tmp_path / "scores", run)
    page = page_of(tmp_path / f"p.{suffix}", run)
    assert page.count("train/049.png") == page.count(files["train/049.png"]) == 1
    assert "train/050.png" not in page
    assert "and 10 more, all listed in the run's manifest.json" in unescape(page)
    assert "the same 60 files as forget" in page


def test_the_page_shows_a_signature(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "manifest.json.sig").write_bytes(bytes(range(64)))
    make_evaluation(tmp_path / "scores", run)
    page = page_of(tmp_path / "p.html", run)
    assert f"The record is signed (Ed25519): {bytes(range(64)).hex()}" in page
    assert "not verified by this page" in page


@pytest.mark.parametrize(("digest", "verdict"), [("b" * 64, "holds:"), ("c" * 64, "**Does not hold:**")])
def test_the_model_evaluated_before_is_that_from_which_the_run_started(
    tmp_path: Path, digest: str, verdict: str
) -> None:
    """Not the unlearned one, whose numbers would look as if there had been nothing to forget."""
    run = make_run(tmp_path / "run")
    make_evaluation(tmp_path / "scores", run)
    model = {"source": "target", "files": {"model.safetensors": digest}}
    make_evaluation(tmp_path / "before", recall=1.0, model=model)
    page = page_of(tmp_path / "p.md", run, "--before", tmp_path / "before")
    assert f"- {verdict} The weights evaluated before are those that the run started from." in page
    assert "- holds: The forget rows evaluated before are those of the request." in page


@pytest.mark.parametrize("option", ["--retrained", "--base"])
def test_the_model_itself_is_no_reference(place: Path, tmp_path: Path, capsys, option: str) -> None:
    message = fails(capsys, place / "run", option, place / "scores", "--output", tmp_path / "p.html")
    assert message == (
        f"{option} {place / 'scores'}: it has the weights of the model itself; name a model that never saw the rows"
    )
    assert not (tmp_path / "p.html").exists()


def test_sections_without_data_are_not_there(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", outputs=["model.safetensors"])
    (run / "report" / "training_log.json").unlink()
    make_evaluation(tmp_path / "scores", run)
    page = page_of(tmp_path / "p.html", run)
    assert headings(page) == ["asked", "models", "method", "numbers", "worst", "all", "limits", "signature"]
    assert "There is no retrained model to compare with" in page
    assert "The model before unlearning was not measured" in page
    assert "No rows were measured that the model never saw" in page
    assert "Question" not in page


def test_texts_only_when_asked_for(place: Path, tmp_path: Path) -> None:
    for name in ("p.html", "p.md"):
        assert "Question 0?" not in page_of(tmp_path / name, place / "run", *others(place))
        assert "Question 0?" in page_of(tmp_path / name, place / "run", *others(place), "--include-texts")


def test_nothing_in_a_page_of_html_comes_from_elsewhere(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.html", place / "run", *others(place), "--include-texts")
    assert re.findall(r'(?:src|href)="(?!#|data:)', page) == []
    assert "url(" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in unescape(page)


def hostile(tmp_path: Path) -> Path:
    def write(records: list[dict[str, Any]]) -> None:
        for one in records:
            one |= {"prompt": SCRIPT, "generated": SCRIPT, "origin": SCRIPT}
        records[0]["reference"] = SCRIPT

    extra = {"method": {"weighting": SCRIPT, "forget": SCRIPT, "retain": SCRIPT}, "formulas": {SCRIPT: SCRIPT}}
    run = make_run(tmp_path / "run", extra=extra, config={"method": SCRIPT}, template=SCRIPT)
    make_evaluation(tmp_path / "scores", run, change=write)
    return run


def test_texts_of_models_and_data_stay_texts_in_html(tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.html", f"{NAME}={hostile(tmp_path)}", "--include-texts")
    assert page.count("<script") == 1  # our own
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(1)") > 10


def test_texts_of_models_and_data_stay_texts_in_markdown(tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.md", f"{NAME}={hostile(tmp_path)}", "--include-texts")
    assert re.findall(r"(?<!\\)<", page) == []
    assert "[a](" not in page
    assert page.count(r"\<script\>alert(1)") > 10


def test_markdown_has_the_same_sections_and_whole_tables(place: Path, tmp_path: Path) -> None:
    page = page_of(tmp_path / "p.md", place / "run", *others(place))
    titles = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    assert [title.split(":")[0] for title in titles] == [
        "What was asked",
        "Model in, model out",
        "How it was done",
        "What is left, and what it cost",
        "D (retrained)",
        "D (holdout)",
        "The worst rows",
        "The run, step by step",
        "All numbers",
        "What this page does not prove",
        "Signature",
    ]
    for table in re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_what_does_not_hold_is_said_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    data = {"forget": {"source": "x", "files": {}, "rows": 3, "rows_sha256": "0" * 64}}
    scores = make_evaluation(tmp_path / "scores", run, data=data, template="chat")
    (run / "model.safetensors").write_text("changed")
    page = page_of(tmp_path / "p.html", run, "--scores", scores)
    alarms = re.findall(r'<p class="alarm"><strong>Does not hold:</strong> (.*?)</p>', page)
    assert len(alarms) == 3
    assert "model.safetensors is changed" in alarms[0]
    assert "evaluated: 3 rows, asked for: 4" in alarms[1]
    assert "chat in place of plain" in alarms[2]


def test_a_ruined_model_is_called_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", extra={"ruined": "its retain loss rose"})
    make_evaluation(tmp_path / "scores", run)
    assert "The model is ruined:</strong> its retain loss rose" in page_of(tmp_path / "p.html", run)


def test_without_records_d_is_that_of_the_file(tmp_path: Path, capsys) -> None:
    run = make_run(tmp_path / "run")
    scores = make_evaluation(tmp_path / "scores", run, records=False)
    before = make_evaluation(tmp_path / "before", recall=1.0, loss=0.1)
    file = scores / "metrics.json"
    page = page_of(tmp_path / "p.html", run, "--before", before)
    assert f"D was not computed: there are no records in {scores}" in page
    part = {"now": 2.0, "reference": 4.0, "before": 0.0, "value": 0.5}
    found = {"value": 0.5, "noise": 0.1, "parts": {"loss": part}, "left_out": {}, "uncorrected": []}
    file.write_text(json.dumps({**json.loads(file.read_text()), "distance": found}))
    page = page_of(tmp_path / "p.html", run)
    capsys.readouterr()
    assert "D (retrained) is 0.5000" in page
    assert "as metrics.json has it, which does not say what it was compared with" in page
    assert "has no records" in fails(capsys, run, "--include-texts", "--output", tmp_path / "t.html")


def test_what_cannot_be_used(place: Path, tmp_path: Path, capsys) -> None:
    run, target = place / "run", tmp_path / "p.html"
    assert fails(capsys, run) == "ngdiff report needs --output"
    assert fails(capsys, "--output", target) == "ngdiff report needs RUN..."
    assert fails(capsys, run, "--output", tmp_path / "p.pdf").startswith(
        f"--output {tmp_path / 'p.pdf'}: the suffix says no format; one of .html, .htm, .md, .markdown"
    )
    message = fails(capsys, run, "--format", "pdf", "--output", target)
    assert message == "--format pdf is not known; one of html, markdown"
    target.write_text("mine")
    assert "exists; choose another file, or give --overwrite" in fails(capsys, run, "--output", target)
    assert target.read_text() == "mine"
    assert "where no such run is" in fails(capsys, place / "before", "--output", tmp_path / "new.html")
    learned = make_run(tmp_path / "learned", command=["ngdiff", "finetune"])
    make_evaluation(tmp_path / "scores", learned)
    assert "is a run of ngdiff finetune" in fails(capsys, learned, "--output", tmp_path / "new.html")
    assert not (tmp_path / "new.html").exists()


def test_a_damaged_log_is_named(tmp_path: Path, capsys) -> None:
    run = make_run(tmp_path / "run")
    make_evaluation(tmp_path / "scores", run)
    for text in ("[]", "{", '{"steps": [1]}'):
        (run / "report" / "training_log.json").write_text(text)
        assert "training_log.json is damaged" in fails(capsys, run, "--output", tmp_path / "p.html")


def test_rows_of_another_file_are_refused(place: Path, tmp_path: Path, capsys) -> None:
    def shorter(records: list[dict[str, Any]]) -> None:
        records.pop()

    other = make_evaluation(tmp_path / "other", change=shorter)
    message = fails(capsys, place / "run", "--retrained", other, "--output", tmp_path / "p.html")
    assert "compares two models on the same rows" in message


def test_torch_is_not_imported(place: Path, tmp_path: Path) -> None:
    words = ["report", str(place / "run"), *map(str, others(place)), "--output", str(tmp_path / "p.html")]
    program = (
        f"import sys\nfrom ngdiff.cli import main\nassert main({words!r}) == 0\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_with_texts_is_for_its_owner(place: Path, tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        for words, mode in (([], 0o644), (["--include-texts"], 0o600)):
            page_of(tmp_path / "page.html", place / "run", *words)
            assert (tmp_path / "page.html").stat().st_mode & 0o777 == mode
    finally:
        os.umask(umask)


def test_a_run_from_python_has_its_page(tmp_path: Path) -> None:
    """`ngdiff.training.save_with_evidence` writes no `ngdiff unlearn` as the command."""
    make_evaluation(tmp_path / "scores", make_run(tmp_path / "run", command=["python"]))
    assert "What was asked" in page_of(tmp_path / "page.html", tmp_path / "run")
