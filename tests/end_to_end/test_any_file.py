"""Files as people have them, from the command line."""

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from .runs import Material, rows_of, run, succeeded


def write_csv(file: Path, names: list[str], rows: list[dict[str, Any]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows([row["question"], row["answer"]] for row in rows)
    return file


def test_columns_are_named_once_and_kept(material: Material, tmp_path: Path) -> None:
    """The manifest, the next command, the next request and the sets of an evaluation know them."""
    forget = write_csv(tmp_path / "f.csv", ["title", "reply"], rows_of(material.forget))
    retain = write_csv(tmp_path / "r.csv", ["Question", "Answer"], rows_of(material.retain)[:6])
    words = material.words(tmp_path / "u", forget=forget, retain=retain, max_steps=1)
    outcome = run(*words)
    assert outcome.status == 2
    assert "say which is which: --columns question=title,answer=reply" in outcome.error.lower()
    named = "--forget-columns=question=title,answer=reply"
    out = succeeded(run(*words, named)).out
    data = json.loads((tmp_path / "u" / "manifest.json").read_text())["data"]
    assert data["forget"]["columns"] == "question=title,answer=reply"
    assert "columns" not in data["retain"]
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    assert "question=title,answer=reply" in command
    succeeded(run(*command[1:], "--no-generate"))
    later = write_csv(tmp_path / "f2.csv", ["prompt", "completion"], rows_of(material.retain)[6:8])
    more = ["--forget", later, "--retain", retain, "--output", tmp_path / "u2", "--max-steps", 1]
    succeeded(run("unlearn", "--after", tmp_path / "u", *more))
    again = json.loads((tmp_path / "u2" / "manifest.json").read_text())["extra"]["earlier_requests"]
    assert again[0]["now"] is not None


def test_named_columns_are_refused_before_any_file_is_read(material: Material, tmp_path: Path) -> None:
    outcome = run(*material.words(tmp_path / "u", forget="no.csv"), "--retain-columns=reply=a")
    assert outcome.status == 2
    assert outcome.error.startswith("--retain-columns reply=a: reply is no column of ours; accepted is OURS=COLUMN")


@pytest.mark.slow
def test_documents_are_the_unit_of_the_report(material: Material, tmp_path: Path) -> None:
    for name, rows in (("forget", rows_of(material.forget)), ("retain", rows_of(material.retain))):
        (tmp_path / name).mkdir()
        for number in range(2):
            text = "\n".join(row["answer"] for row in rows[number::2])
            (tmp_path / name / f"{number}.md").write_text(text, encoding="utf-8")
    sets = ["--forget", tmp_path / "forget", "--retain", f"{tmp_path}/retain/*.md", "--chunk-tokens", 40]
    succeeded(run("unlearn", "--model", material.model, *sets, "--max-steps", 1, "--output", tmp_path / "u"))
    forget = json.loads((tmp_path / "u" / "manifest.json").read_text())["data"]["forget"]
    assert (forget["rows"], forget["documents"], forget["chunk_tokens"], forget["chunk_overlap"]) == (2, 2, 40, 5)
    assert list(forget["files"]) == ["0.md", "1.md"]
    evaluation = succeeded(run("evaluate", "--model", tmp_path / "u", *sets, "--output", tmp_path / "e"))
    numbers = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert numbers["forget"]["n"] > numbers["forget"]["n_documents"] == 2
    assert "forget rows are chunks of 2 documents" in evaluation.out
    page = tmp_path / "page.md"
    succeeded(run("report", tmp_path / "u", "--scores", tmp_path / "e", "--output", page, "--format", "markdown"))
    assert "2 documents" in page.read_text(encoding="utf-8")


TURNS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def test_a_chat_template_is_saved_with_the_result(material: Material, tmp_path: Path) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(TURNS)
    words = material.words(tmp_path / "u", "--chat-template", file, max_steps=1)
    out = succeeded(run(*words)).out
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert (manifest["template"], manifest["template_text"]) == ("chat", TURNS)
    assert manifest["model"]["chat_template"]["files"].keys() == {"chat.jinja"}
    assert (tmp_path / "u" / "chat_template.jinja").read_text() == TURNS
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    succeeded(run(*command[1:], "--output", tmp_path / "e", "--no-generate"))
    assert json.loads((tmp_path / "e" / "manifest.json").read_text())["template_text"] == TURNS
    checked = succeeded(run("verify", tmp_path / "u")).out
    assert "--chat-template" in checked
    refused = run(*words, "--template", "plain", "--overwrite")
    assert refused.error.startswith(f"--chat-template {file}: no row is shown by it")
