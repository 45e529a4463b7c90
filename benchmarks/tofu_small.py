"""Unlearn real TOFU authors from a small model, with no learning rate given; from several starts; and beside it what
fixed rates, Algorithm 1 as printed and a retrained model do.

    NGDIFF_DATA=... python benchmarks/tofu_small.py [--authors 10] [--seeds 0 1 2] [--jobs 2] [--work DIR]

Each run is one `ngdiff` command on files, as a user would type it. Forget set: the last tenth of the authors; both sets
are scored whole. Runs that are already in the work folder are not repeated. Prints one table (means over the seeds,
single seeds behind) and whether each bar holds.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from commands import Commands, name_of

QUESTIONS = 20  # of each author
RECITES = 0.95  # ROUGE-L recall on both sets from which a model counts as reciting

# Row of the table -> options of `ngdiff unlearn`.
ARMS: dict[str, list[str]] = {
    "auto": [],
    "auto:1e-7": ["--learning-rate", "auto:1e-7"],
    "auto:1e-4": ["--learning-rate", "auto:1e-4"],
    "auto:1e-1": ["--learning-rate", "auto:1e-1"],
    "sgd auto": ["--optim", "sgd"],
    "sgd auto:1e-4": ["--optim", "sgd", "--learning-rate", "auto:1e-4"],
    "sgd auto:1": ["--optim", "sgd", "--learning-rate", "auto:1"],
    "fixed 1e-5": ["--learning-rate", "1e-5"],
    "fixed 1e-4": ["--learning-rate", "1e-4"],
    "fixed 1e-3": ["--learning-rate", "1e-3"],
    "Algorithm 1 as printed, from 1e-4": [
        *("--learning-rate", "auto:1e-4", "--autolr-search", "false", "--autolr-batch", "same"),
        *("--autolr-max-change", "inf", "--autolr-inertia", "0"),
    ],
    "Algorithm 1 as printed, no ceiling": [
        *("--learning-rate", "auto:1e-4", "--autolr-search", "false", "--autolr-batch", "same"),
        *("--autolr-max-change", "inf", "--autolr-inertia", "0", "--forget-ceiling", "none"),
    ],
    "auto, no ceiling": ["--forget-ceiling", "none"],
    "auto, ceiling at the retrained loss": [],  # completed for each seed
}
STARTS = {"AdamW": ["auto:1e-7", "auto:1e-4", "auto:1e-1"], "SGD": ["sgd auto:1e-4", "sgd auto:1"]}
RETRAINED_CEILING = "auto, ceiling at the retrained loss"


class Bench(Commands):
    """The rows of the last authors, and the models of this table."""

    def __init__(self, work: Path, authors: int) -> None:
        super().__init__(work)
        rows = (Path(os.environ["NGDIFF_DATA"]) / "tofu" / "full.json").read_text(encoding="utf-8").splitlines()
        rows = rows[-authors * QUESTIONS :]
        forget = max(authors // 10, 1) * QUESTIONS
        self.write("all.jsonl", rows)
        self.write("forget.jsonl", rows[-forget:])
        self.write("retain.jsonl", rows[:-forget])

    def evaluate(self, model: str) -> dict[str, float]:
        """Verbmem, Utility and both losses of a model of the work folder."""
        sets = ["--forget", "forget.jsonl", "--retain", "retain.jsonl"]
        folder = self.ngdiff("evaluate", f"{model}-scores", "--model", model, *sets)
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        losses = {f"{role}_loss": found[role]["loss"] for role in ("forget", "retain")}
        return {"verbmem": found["verbmem"], "utility": found["utility"], **losses}

    def learn(self, name: str, train: str, seed: int) -> dict[str, float]:
        """A model from random weights that recites `train`: trained to lower losses until it does."""
        for stop_loss in ("0.02", "0.01", "0.005"):
            tokenizer = [] if name.endswith("target") else ["--tokenizer", name.replace("retrained", "target")]
            options = ["--model", "llama-tiny", "--train", train, "--seed", str(seed), "--stop-loss", stop_loss]
            self.ngdiff("finetune", name, *options, *tokenizer)
            scores = self.evaluate(name)
            known = [scores["utility"]] + ([scores["verbmem"]] if train == "all.jsonl" else [])
            if min(known) >= RECITES:
                return scores
            for output in (name, f"{name}-scores"):
                self.drop(output)
        raise SystemExit(f"{name} recites only {min(known):.3f}: nothing that could be unlearned")

    def unlearn(self, seed: int, arm: str, options: Sequence[str]) -> dict[str, float]:
        """One arm from the target of one seed."""
        name = f"s{seed}-{name_of(arm)}"
        sets = ["--forget", "forget.jsonl", "--retain", "retain.jsonl", "--seed", str(seed), "--save-strategy", "no"]
        sets += ["--max-retain-loss", "none"]  # a method that destroys has its row in the table
        self.ngdiff("unlearn", name, "--model", f"s{seed}-target", *sets, *options)
        return self.evaluate(name)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--authors", type=int, default=10, help="the last so many authors of TOFU, 10 to 40")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="rows of the table (all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--work", type=Path, help="folder for data, models and logs (a temporary one)")
    arguments = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/full.json")
    if not 10 <= arguments.authors <= 40:
        raise SystemExit("--authors must be 10 to 40")
    work = arguments.work or Path(tempfile.mkdtemp(prefix="tofu-small-"))
    bench = Bench(work, arguments.authors)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        targets = list(pool.map(lambda s: bench.learn(f"s{s}-target", "all.jsonl", s), arguments.seeds))
        retrained = list(pool.map(lambda s: bench.learn(f"s{s}-retrained", "retain.jsonl", s), arguments.seeds))
        jobs = {}
        for index, seed in enumerate(arguments.seeds):
            for arm in arguments.arms:
                options = ARMS[arm]
                if arm == RETRAINED_CEILING:
                    options = ["--forget-ceiling", f"{retrained[index]['forget_loss']:.4f}"]
                jobs[arm, seed] = pool.submit(bench.unlearn, seed, arm, options)
        arms = {arm: [jobs[arm, seed].result() for seed in arguments.seeds] for arm in arguments.arms}
    table = {"before (target)": targets, "retrained without the forget set": retrained, **arms}
    (work / "results.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    print_table(table)
    print_bars(table)
    print(f"\nFiles: {work}")


def print_table(table: dict[str, list[dict[str, float]]]) -> None:
    """Means over the seeds; single seeds in brackets."""
    print("| run | Verbmem | Utility | forget loss | retain loss |\n|---|---|---|---|---|")
    for name, scores in table.items():
        cells = [column(scores, key) for key in ("verbmem", "utility")]
        losses = [f"{mean(scores, key):.3f}" for key in ("forget_loss", "retain_loss")]
        print(f"| {name} | {' | '.join([*cells, *losses])} |")


def print_bars(table: dict[str, list[dict[str, float]]]) -> None:
    """What is claimed, and whether it holds."""
    bars: list[tuple[str, float, float, bool]] = []
    if "auto" in table:
        kept = mean(table["auto"], "utility") / mean(table["before (target)"], "utility")
        bars += [
            ("no learning rate given: mean Verbmem <= 0.08", mean(table["auto"], "verbmem"), 0.08, True),
            ("no learning rate given: Utility >= 0.95 of before", kept, 0.95, False),
        ]
    for optimizer, names in STARTS.items():
        if not set(names) <= set(table):
            continue
        for key in ("verbmem", "utility"):
            means = [mean(table[name], key) for name in names]
            bars.append((f"{optimizer}: spread of mean {key} over starts <= 0.05", max(means) - min(means), 0.05, True))
    print()
    for claim, value, bar, at_most in bars:
        holds = value <= bar if at_most else value >= bar
        print(f"{'holds' if holds else 'FAILS'}  {claim}: {value:.4f}")


def mean(scores: Sequence[dict[str, float]], key: str) -> float:
    """Mean over the seeds."""
    return statistics.fmean(score[key] for score in scores)


def column(scores: Sequence[dict[str, float]], key: str) -> str:
    """Mean and single seeds."""
    return f"{mean(scores, key):.3f} ({', '.join(f'{score[key]:.3f}' for score in scores)})"


if __name__ == "__main__":
    main()
