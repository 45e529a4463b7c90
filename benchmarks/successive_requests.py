"""Requests to forget, one after the other, by `ngdiff unlearn --after`: what each later run does to the earlier ones.

    NGDIFF_DATA=... python benchmarks/successive_requests.py --work DIR [--seed 0] [--counts 2 4]

Model and rows are those of `never_seen.py`: a Llama of 3.4 M parameters that recites the last 20 authors of TOFU. The
last 40 rows are forgotten in two and in four requests; what is asked for later is still to be kept. After each run
`ngdiff verify` walks the chain. A last run forgets other rows and has the answers of the first request among those to
keep, under other questions: `unlearn` must end with code 6. Printed: the loss of the rows of each request, in nats a
token, before and after its own run and after each later one.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from never_seen import Bench

from ngdiff.exit_codes import DONE, REQUEST_CAME_BACK

FORGET = 40


def main() -> None:
    """Run what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, models and results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=int, nargs="+", default=[2, 4], help="numbers of requests")
    options = parser.parse_args()
    bench = Bench(options.work.resolve(), "tofu", FORGET)
    bench.models(options.seed)
    for count in options.counts:
        chain = requests(bench, options.seed, count)
        print(f"\n{table(chain)}")
    last = came_back(bench, options.seed, chain)
    print(f"\nThe first request taught again: {json.dumps(retests(last)[0])}")


def requests(bench: Bench, seed: int, count: int) -> list[Path]:
    """Outputs of requests that come one after the other, each verified with its chain."""
    forget, retain = ((bench.work / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("forget", "retain"))
    size = len(forget) // count
    outputs: list[Path] = []
    for number in range(count):
        name = f"s{seed}-{count}-request-{number + 1}"
        bench.write(f"{name}-forget.jsonl", forget[number * size : (number + 1) * size])
        bench.write(f"{name}-retain.jsonl", [*retain, *forget[(number + 1) * size :]])
        start = ("--after", outputs[-1].name) if outputs else ("--model", f"s{seed}-target")
        sets = ("--forget", f"{name}-forget.jsonl", "--retain", f"{name}-retain.jsonl")
        outputs.append(bench.ngdiff("unlearn", name, *start, *sets, "--seed", str(seed), "--save-strategy", "no"))
        expect(bench, DONE, "verify", name)
    return outputs


def came_back(bench: Bench, seed: int, chain: list[Path]) -> Path:
    """One more run, whose rows to keep have the answers of the first request; the chain notices it."""
    output = chain[-1].with_name(f"{chain[-1].name}-taught")
    first = (bench.work / f"{chain[0].name}-forget.jsonl").read_text("utf-8").splitlines()
    kept = (bench.work / "retain.jsonl").read_text("utf-8").splitlines()
    taught = [json.dumps({**json.loads(row), "question": "Again: " + json.loads(row)["question"]}) for row in first]
    bench.write("taught-retain.jsonl", 4 * taught)
    bench.write("taught-forget.jsonl", kept[: len(first)])
    sets = ("--forget", "taught-forget.jsonl", "--retain", "taught-retain.jsonl")
    more = ("--seed", str(seed), "--save-strategy", "no", "--overwrite", "--output", output.name)
    expect(bench, REQUEST_CAME_BACK, "unlearn", "--after", chain[-1].name, *sets, *more)
    expect(bench, DONE, "verify", output.name)
    return output


def expect(bench: Bench, status: int, *words: str) -> None:
    """Run a command that must end with this code.

    Raises:
        SystemExit: it ends with another one.
    """
    done = subprocess.run([sys.executable, "-m", "ngdiff", *words], cwd=bench.work, capture_output=True, text=True)
    if done.returncode != status:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}, not {status}:\n{done.stderr[-1000:]}")


def table(chain: list[Path]) -> str:
    """Losses of the rows of each request: one column for each run."""
    lines = [f"| request | before | {' | '.join(f'run {number}' for number in range(1, len(chain) + 1))} | state |"]
    lines.append("|---|" + "---|" * (len(chain) + 2))
    for number, output in enumerate(chain):
        extra = manifest_of(output)["extra"]
        later = [retests(run)[number] for run in chain[number + 1 :]]
        losses = [extra["losses_after"]["forget"], *(one["now"] for one in later)]
        cells = ["" for _ in range(number)] + [f"{loss:.2f}" for loss in losses]
        state = later[-1]["state"] if later else ""
        lines.append(f"| {number + 1} | {extra['losses_before']['forget']:.2f} | {' | '.join(cells)} | {state} |")
    return "\n".join(lines)


def retests(output: Path) -> list[dict[str, Any]]:
    """What a run found of the requests before it."""
    found: list[dict[str, Any]] = manifest_of(output)["extra"]["earlier_requests"]
    return found


def manifest_of(output: Path) -> dict[str, Any]:
    """The manifest of a run."""
    found: dict[str, Any] = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
