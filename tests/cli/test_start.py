"""Help and errors of options come before torch, which takes seconds to import."""

import json
import subprocess
import sys
from pathlib import Path

from ngdiff.cli.main import COMMANDS
from ngdiff.exit_codes import BAD_INPUT, DONE

SLOW = ("torch", "transformers", "peft", "sklearn", "matplotlib", "datasets", "scipy", "accelerate")
RUN = ["unlearn", "--model", "m", "--forget", "rows.jsonl", "--retain", "rows.jsonl", "--output", "out"]
# Words -> how the command ends.
EARLY: list[tuple[list[str], int]] = [
    *(([command, "--help"], DONE) for command in COMMANDS),
    *(([command, "--task", "image", "--help-all"], DONE) for command in ("unlearn", "finetune", "evaluate")),
    (["methods"], DONE),
    *(([command, "--no-such-option"], BAD_INPUT) for command in COMMANDS),
    ([*RUN, "--modle", "m"], BAD_INPUT),
    *(([*RUN, *words], BAD_INPUT) for words in (
        ["--method", "no-such"], ["--weighting", "gdiff(c=7)"], ["--forget-objective", "no-such"], ["--seed", "-1"],
        ["--max-retain-loss", "x"], ["--optimizer", "no-such"], ["--learning-rate", "x"], ["--fp16"],
        ["--eval-strategy", "sometimes"], ["--lr-scheduler-type", "no-such"], ["--idk-file", "no-such.txt"],
        ["--forget", "./no-such.jsonl"], ["--forget", "broken.jsonl"], ["--model", "./no-such"],
        ["--require", "forget.loss"], ["--config", "no-such.yaml"], ["--after", "./no-such"],
    )),
    (["unlearn", "--task", "image", "--model", "m", "--dataset", "./no-such", "--output", "out"], BAD_INPUT),
    (["finetune", "--model", "llama-micro", "--train", "./no-such.jsonl", "--output", "out"], BAD_INPUT),
    (["finetune", "--task", "image", "--model", "m", "--dataset", "./no-such", "--output", "out"], BAD_INPUT),
    (["evaluate", "--model", "m", "--forget", "./no-such.jsonl"], BAD_INPUT),
    (["evaluate", "--model", "m"], BAD_INPUT),
    (["audit", "m", "--forget", "./no-such.jsonl", "--retain", "rows.jsonl", "--output", "out"], BAD_INPUT),
    (["audit", *RUN[1:], "--attacks", "x"], BAD_INPUT),
    (["check", "--model", "m", "--forget", "./no-such.jsonl", "--retain", "rows.jsonl"], BAD_INPUT),
    (["demo", "--shape", "no-such"], BAD_INPUT),
    (["score", "./no-such"], BAD_INPUT),
    (["compare", "./no-such"], BAD_INPUT),
    (["report", "./no-such", "--output", "page.html"], BAD_INPUT),
    (["push", "./no-such", "owner/name"], BAD_INPUT),
    (["verify", "./no-such"], BAD_INPUT),
    (["sign", "./no-such", "--key", "./no-such.pem"], BAD_INPUT),
    (["ledger", "./no-such"], BAD_INPUT),
    (["sweep", "no-such.yaml", "--output", "out"], BAD_INPUT),
    (["reproduce", "table1", "--data", "./no-such", "--output", "out"], BAD_INPUT),
]  # fmt: skip
PROGRAM = """
import contextlib, io, json, sys
from ngdiff.cli import main
ends = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(words)
    ends.append([status, [name for name in json.loads(sys.argv[2]) if name in sys.modules], err.getvalue()])
print(json.dumps(ends))
"""


def test_torch_is_imported_after_options_and_files_are_checked(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "Who?", "answer": "Orla."}\n')
    (tmp_path / "broken.jsonl").write_text("{\n")
    words = [json.dumps([words for words, _ in EARLY]), json.dumps(SLOW)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for (words, status), (found, imported, said) in zip(EARLY, json.loads(done.stdout), strict=True):
        assert (found, imported) == (status, []), (words, said)
