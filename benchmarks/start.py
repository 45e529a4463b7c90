"""CPU seconds until a command has answered: help, tables, errors of options and files, dry runs, beside `import torch`.

    python benchmarks/start.py [--runs 3] [--imports]

Each is a process of its own; the median of several. Everything but the first two lines and the dry runs comes before
torch is imported. A dry run is of 40 rows to forget and 160 to retain, of a small model and of 7 billion weights.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUN = ["unlearn", "--model", "m", "--forget", "rows.jsonl", "--retain", "rows.jsonl", "--output", "out"]
DRY_RUN = ["unlearn", "--forget", "forget.jsonl", "--retain", "retain.jsonl", "--output", "out", "--dry-run"]
COMMANDS = ("unlearn", "evaluate", "finetune", "audit", "check", "score", "compare", "report", "sweep")
CASES: dict[str, list[str]] = {
    "import torch": ["-c", "import torch"],
    "import transformers.Trainer": ["-c", "from transformers import Trainer"],
    **{f"{command} --help": ["-m", "ngdiff", command, "--help"] for command in COMMANDS},
    "methods": ["-m", "ngdiff", "methods"],
    "a misspelt option": ["-m", "ngdiff", *RUN, "--modle", "m"],
    "a wrong value": ["-m", "ngdiff", *RUN, "--seed", "-1"],
    "a method that there is not": ["-m", "ngdiff", *RUN, "--method", "no-such"],
    "a missing file": ["-m", "ngdiff", *RUN, "--holdout", "./no-such.jsonl"],
    "a missing model": ["-m", "ngdiff", *RUN, "--model", "./no-such"],
    **{f"dry run of {shape}": ["-m", "ngdiff", *DRY_RUN, "--model", shape] for shape in ("llama-micro", "llama-2-7b")},
}


def cpu_seconds(words: list[str], folder: Path) -> float:
    """User and system time of `python WORDS` in a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime


def row(number: int) -> str:
    """A line of JSON with a question and an answer of some 50 words."""
    answer = " ".join(f"In year {number + year} the town of number {number} had {year} wells." for year in range(5))
    return json.dumps({"question": f"What is known of town {number}?", "answer": answer}) + "\n"


def longest_imports(words: list[str], folder: Path, count: int = 12) -> list[str]:
    """Lines of `python -X importtime`: own microseconds, those with all that a module imports, the module."""
    done = subprocess.run([sys.executable, "-X", "importtime", *words], cwd=folder, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:") and "self" not in line]
    return sorted(lines, key=lambda line: int(line.split("|")[1]))[-count:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts (3)")
    parser.add_argument("--imports", action="store_true", help="what takes longest to import, of `unlearn --help`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rows.jsonl").write_text('{"question": "Who?", "answer": "Orla."}\n')
        for name, numbers in {"forget": range(40), "retain": range(40, 200)}.items():
            (folder / f"{name}.jsonl").write_text("".join(row(number) for number in numbers))
        for words in CASES.values():  # files of compiled code, and the disk's cache
            cpu_seconds(words, folder)
        found = {
            case: statistics.median(cpu_seconds(words, folder) for _ in range(options.runs))
            for case, words in CASES.items()
        }
        print(f"{'':<30}  CPU s  / import torch")
        for case, seconds in found.items():
            print(f"{case:<30}  {seconds:5.2f}  {seconds / found['import torch']:5.2f}")
        if options.imports:
            print("\n".join(longest_imports(CASES["unlearn --help"], folder)))


if __name__ == "__main__":
    main()
