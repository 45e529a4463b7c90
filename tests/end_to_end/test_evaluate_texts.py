"""Texts and rows that are too long: what `evaluate` says of them, and that `score` says the same."""

import json

import pytest

from ngdiff.data.people import fictional_people

from .runs import run, succeeded


@pytest.fixture
def texts(material, tmp_path):
    rows = [json.loads(line) for line in material.retain.read_text(encoding="utf-8").splitlines()]
    long = " ".join(row["answer"] for row in rows)
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in (long, rows[0]["answer"])), encoding="utf-8")
    return path


def test_pieces_and_cut_rows_are_counted(material, texts, tmp_path):
    folder = tmp_path / "e"
    words = ["--forget", texts, "--retain", material.retain, "--max-length", 90, "--lowercase"]
    found = succeeded(run("evaluate", "--model", material.model, *words, "--output", folder))
    numbers = json.loads((folder / "metrics.json").read_text())
    records = [json.loads(line) for line in (folder / "private" / "records_forget.jsonl").read_text().splitlines()]
    pieces = len(records) - 1
    assert (numbers["forget"]["n_in_pieces"], numbers["forget"]["n_pieces"]) == (1, pieces)
    assert numbers["forget"]["n_cut"] == 0 < numbers["retain"]["n_cut"] <= 12
    assert [record["origin"].rpartition(", ")[2] for record in records] == [
        *(f"piece {k} of {pieces}" for k in range(1, pieces + 1)), "line 2"
    ]  # fmt: skip
    whole = [json.loads(line)["text"] for line in texts.read_text().splitlines()]
    assert "".join(record["prompt"] + record["reference"] for record in records[:-1]) == whole[0]
    assert records[-1]["prompt"] + records[-1]["reference"] == whole[1]
    assert all(record["lowercase"]["nll_sum"] > 0 for record in records)
    said = [line for line in found.out.splitlines() if line.startswith("note: ")]
    cut = numbers["retain"]["n_cut"]
    assert f"longer than --max-length: {cut} of 12 were cut; what was cut off is not measured" in found.out
    assert f"longer than --max-length: 1 were split into {pieces} pieces, each of which counts as a row" in found.out
    scored = succeeded(run("score", folder))
    assert [line for line in scored.out.splitlines() if line.startswith("note: ")] == said


def test_prompts_of_texts(material, texts, tmp_path):
    def prompts(*words):
        folder = tmp_path / f"e{len(list(tmp_path.iterdir()))}"
        command = ["evaluate", "--model", material.model, "--forget", texts, "--no-generate", "--output", folder]
        succeeded(run(*command, *words))
        lines = (folder / "private" / "records_forget.jsonl").read_text().splitlines()
        return [json.loads(line)["prompt"] for line in lines]

    usual, short, none = prompts(), prompts("--prompt-tokens", 3), prompts("--prompt-tokens", 0)
    assert all(len(more) > len(less) > 0 for more, less in zip(usual, short, strict=True))
    assert set(none) == {""}
    assert prompts("--prompt-tokens", "auto") == usual


@pytest.mark.parametrize("value", ["-1", "half", "1.5", "٣"])
def test_prompt_tokens_that_are_no_number(material, texts, value):
    outcome = run("evaluate", "--model", material.model, "--forget", texts, f"--prompt-tokens={value}")
    assert outcome.status == 2
    assert outcome.error == f"--prompt-tokens {value} is not auto or a number, 0 or more"


def test_a_prompt_that_fills_the_row_is_named(material, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "Where " * 400, "answer": "Here."}) + "\n", encoding="utf-8")
    outcome = run("evaluate", "--model", material.model, "--forget", path)
    assert outcome.status == 2
    assert "rows.jsonl, line 1: the prompt alone has" in outcome.error
    assert "--max-length 256 leaves no token of the answer" in outcome.error


@pytest.mark.slow
def test_a_model_trained_on_texts_recites_them(tmp_path):
    """Twenty texts, one of them in pieces: Verbmem was .35 from the begin token alone."""
    people = fictional_people(20, questions=6)
    texts = [" ".join(row["answer"] for row in people[start : start + 6]) for start in range(0, len(people), 6)]
    texts = [*texts[:-4], " ".join(texts[-4:])]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    words = ["--vocab-size", 600, "--num-train-epochs", 150, "--max-length", 256]
    succeeded(run("finetune", "--model", "llama-micro", "--train", path, "--output", tmp_path / "m", *words))
    folder = tmp_path / "e"
    found = ["--forget", path, "--max-length", 256, "--output", folder]
    succeeded(run("evaluate", "--model", tmp_path / "m", *found))
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["forget"]["n_in_pieces"] == 1
    assert numbers["verbmem"] > 0.97
    assert numbers["forget"]["exact_memorisation"] > 0.97
    assert numbers["forget"]["extraction_strength"] > 0.9
