"""The README's examples run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from ngdiff.cli import main
from ngdiff.data import fictional_people, read_rows
from ngdiff.modeling import build_model, save_model, train_tokenizer
from ngdiff.writing import write_text

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with `my-model`, `forget.jsonl` and `retain.jsonl`, as the README supposes."""
    import json

    rows = fictional_people(5, questions=3)
    for name, part in (("forget", rows[-3:]), ("retain", rows[:-3])):
        write_text(tmp_path / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in part))
    parsed = read_rows(rows)
    tokenizer = train_tokenizer([f"{row.prompt} {row.answer}" for row in parsed], vocab_size=400)
    save_model(build_model("llama-micro", tokenizer), tokenizer, tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands(workplace, capsys):
    block, _ = blocks("bash")  # the second needs a hub and a retrained model
    lines = block.strip().splitlines()
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "ngdiff"
        assert main(words[1:]) == 0, capsys.readouterr().err
    assert "Verbmem" in capsys.readouterr().out
    assert (workplace / "unlearned" / "model.safetensors").exists()
    assert (workplace / "scores" / "metrics.json").exists()


def test_the_python_example(workplace, capsys):
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    assert (workplace / "unlearned" / "model.safetensors").exists()
    assert re.search(r"^\d+\.\d+ [\de.-]+$", capsys.readouterr().out, flags=re.MULTILINE)


def test_links_lead_somewhere():
    root = Path(__file__).parents[1]
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert targets
    missing = [target for target in targets if not (root / target.partition("#")[0]).exists()]
    assert not missing


def test_options_in_the_text_exist():
    from ngdiff.cli.ask import PARSER as ASK
    from ngdiff.cli.audit import PARSER as AUDIT
    from ngdiff.cli.compare import PARSER as COMPARE
    from ngdiff.cli.score import PARSER as SCORE
    from ngdiff.cli.sign import PARSER as SIGN
    from ngdiff.cli.tasks import TASKS
    from ngdiff.cli.verify import PARSER as VERIFY

    parsers = (
        TASKS["text"].unlearn.parser,
        TASKS["text"].finetune.parser,
        TASKS["text"].evaluate.parser,
        AUDIT,
        SCORE,
        COMPARE,
        ASK,
        SIGN,
        VERIFY,
    )
    known = {f"--{name.replace('_', '-')}" for parser in parsers for name in parser._actions}
    known |= {"--config", "--nproc-per-node"}  # read before the others; torchrun's
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", README))
    assert named - known == set()
