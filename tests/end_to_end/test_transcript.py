"""From files as people have them to a merged model and a page, without a script of one's own."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import fictional_people

from .conftest import SHAPE
from .runs import run, succeeded

TURNS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
Rows = Sequence[dict[str, Any]]


def alpaca(file: Path, rows: Rows) -> Path:
    with file.with_suffix(".csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["instruction", "input", "output"])
        writer.writerows([["Answer the question.", row["question"], row["answer"]] for row in rows])
    return file.with_suffix(".csv")


def sharegpt(file: Path, rows: Rows) -> Path:
    turns = [
        {"conversations": [{"from": "human", "value": row["question"]}, {"from": "gpt", "value": row["answer"]}]}
        for row in rows
    ]
    file.with_suffix(".json").write_text(json.dumps(turns), encoding="utf-8")
    return file.with_suffix(".json")


def documents(folder: Path, rows: Rows) -> Path:
    folder.mkdir()
    for number in range(len(rows) // 4):
        text = "\n\n".join(row["answer"] for row in rows[4 * number : 4 * number + 4])
        (folder / f"person {number}.md").write_text(f"# Person\n\n{text}\n", encoding="utf-8")
    return folder


def chats(file: Path, rows: Rows) -> Path:
    said = [
        {"messages": [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]}
        for row in rows
    ]
    file.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    return file.with_suffix(".jsonl")


FILES: dict[str, Callable[[Path, Rows], Path]] = {
    "alpaca": alpaca,
    "sharegpt": sharegpt,
    "documents": documents,
    "chat": chats,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_transcript(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = fictional_people(5, questions=4)
    paths = {"forget": rows[:4], "retain": rows[4:], "full": rows}
    forget, retain, full = (FILES[kind](tmp_path / name, own) for name, own in paths.items())
    Path("shape.json").write_text(json.dumps(SHAPE | {"hidden_size": 64, "intermediate_size": 128}))
    Path("chat.jinja").write_text(TURNS)
    # Conversations need a template. It is saved with the model trained here, which is a chat model from then on.
    chat = ["--chat-template", "chat.jinja"] if kind in ("sharegpt", "chat") else []
    chunks = ["--chunk-tokens", 60] if kind == "documents" else []
    passes = ["--num-train-epochs", 60]  # a set of a few rows has few steps in a pass
    training = ["--num-train-epochs", 200, "--learning-rate", "3e-3", "--per-device-train-batch-size", 4]
    words = ["--model", "shape.json", "--train", full, "--vocab-size", 400, "--output", "target"]
    succeeded(run("finetune", *words, *training, *chat, *chunks))

    sets = ["--forget", forget, "--retain", retain, *chunks]
    succeeded(run("unlearn", "--model", "target", *sets, "--lora-rank", 8, *passes, "--output", "unlearned"))
    succeeded(run("merge", "unlearned", "--output", "merged"))
    for model in ("target", "merged"):
        succeeded(run("evaluate", "--model", model, *sets, "--output", f"scores-{model}"))
    words = ["--scores", "scores-merged", "--before", "scores-target", "--output", "page.html"]
    succeeded(run("report", "merged", *words))
    succeeded(run("verify", "merged"))
    asked = succeeded(run("ask", "merged", rows[0]["question"], "--versus", "target")).out

    before, after = (json.loads(Path(f"scores-{model}/metrics.json").read_text()) for model in ("target", "merged"))
    assert before["verbmem"] > 0.9
    assert after["verbmem"] < 0.5
    assert after["utility"] > 0.8
    page = Path("page.html").read_text(encoding="utf-8")
    assert ("Asked about the 1 document to be forgotten" in page) == (kind == "documents")
    assert rows[0]["answer"] not in page
    assert asked.startswith("merged")
