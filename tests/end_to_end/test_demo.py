"""`ngdiff demo`, on few people."""

import json
import re

import pytest
import torch

from ngdiff.cli import main
from ngdiff.scoring import over_forgotten_notes


def test_the_demo_shows_before_after_and_the_reference(tmp_path, capsys):
    output = tmp_path / "demo"
    threads = torch.get_num_threads()
    assert main(["demo", "--output", str(output), "--people", "10", "--questions", "3"]) == 0
    out = capsys.readouterr().out
    for part in (
        "1/5",
        "2/5",
        "3/5",
        "4/5",
        "5/5",
        "before",
        "after",
        "retrained",
        "Verbmem",
        "Utility",
        "truth ratio",
    ):
        assert part in out
    assert out.count("\nQ: ") == 3
    for name in ("data/forget.jsonl", "data/retain.jsonl", "report/curves.png", "table.txt", "manifest.json"):
        assert (output / name).stat().st_size > 0
    for model in ("target", "unlearned", "retrained"):
        assert (output / model / "model.safetensors").exists()
        assert (output / model / "scores" / "private" / "records_forget.jsonl").exists()
    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["before"]["verbmem"] > 0.9
    assert "Verbmem, rows > 0.5" in out
    assert metrics["before"]["worst_rows"]["forget"]["rouge_l_recall"][0]["value"] > 0.9
    # of three rows little is certain: it may be over-forgotten or not, and is said where it is
    notes = over_forgotten_notes({"after": metrics["after"]}, {"retrained": metrics["retrained"]})
    assert all(note in out for note in notes)
    assert out.count("is over-forgotten") == len(notes)
    assert metrics["after"]["forget"]["loss"] > metrics["before"]["forget"]["loss"]
    assert metrics["after"]["distance"]["parts"]["verbmem"]["before"] == metrics["before"]["verbmem"]
    assert re.search(r"D \(retrained\) +↓ +- +\d", out)
    assert torch.get_num_threads() == threads
    for folder in (output, output / "unlearned"):
        assert main(["verify", str(folder)]) == 0
        assert "NO" not in capsys.readouterr().out
        assert main(["ledger", str(folder)]) == 0
        assert "the last one" in capsys.readouterr().out
        assert main(["report", str(folder), "--output", str(tmp_path / f"{folder.name}.html")]) == 0
    for name, what in {"target": "30 rows", "base": "9 rows", "retrained": "27 rows"}.items():
        assert main(["verify", str(output / name)]) == 0
        card = (output / name / "README.md").read_text(encoding="utf-8")
        assert f"trained on {what}" in card
        assert "Question: {question}" in card
    assert "3 rows were forgotten" in (output / "unlearned" / "README.md").read_text(encoding="utf-8")
    assert main(["report", str(output / "target"), "--output", str(tmp_path / "target.html")]) == 2
    assert "target is a run of training; a page on a request is about ngdiff unlearn" in capsys.readouterr().err
    capsys.readouterr()
    assert not (output / "unlearned" / "reference").exists()

    assert main(["demo", "--output", str(output)]) == 2
    assert f"--output {output} is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "9"], "--people 9 is not from 10 to 342"),
        (["--people", "10000"], "--people 10000 is not from 10 to 342"),
        (["--questions", "0"], "--questions 0 is not from 1 to 8"),
        (["--shape", "huge"], "--shape huge is not known; one of llama-tiny, llama-micro"),
    ],
)
def test_bad_options(tmp_path, capsys, options, message):
    assert main(["demo", "--output", str(tmp_path / "demo"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "demo" / "target").exists()
