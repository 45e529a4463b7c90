"""An image classifier forgets images, or a class: does it behave as one that never saw them?

    NGDIFF_DATA=... python benchmarks/never_seen_images.py --work DIR [--seeds 0,1,2] [--cases images,class]

A ResNet-20 learns 300 images of each class of CIFAR-10, without augmentation, until it knows them by heart, and forgets

    images    300 of any class. The retrained model sees others of these classes: it treats the 300 as it treats test
              images
    class     the 300 dogs. The retrained model sees no dog

Each stage is one `ngdiff` command, as a user would type it, done once; what was killed starts again.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

EACH = 300  # training images of a class
BATCH = 30  # images of each side in a step of unlearning
SPLITS = {"images": ["--forget-rows", str(EACH)], "class": ["--forget-class", "dog"]}
# Row of the table -> options of `ngdiff unlearn`.
ARMS: dict[str, dict[str, list[str]]] = {
    "images": {
        "default": [],
        "level": ["--method", "level+ngdiff"],
        "ngdiff": ["--method", "ngdiff"],
        "ngdiff to the loss of test images": ["--method", "ngdiff", "--forget-ceiling", "holdout"],
        "graddiff": ["--method", "graddiff"],
        "npo+ngdiff": ["--method", "npo+ngdiff"],
    },
    "class": {
        "default": [],
        "ngdiff without ceiling": ["--method", "ngdiff", "--forget-ceiling", "none"],
        "ceu+ngdiff": ["--method", "ceu+ngdiff"],
        "ceu+ngdiff without ceiling": ["--method", "ceu+ngdiff", "--forget-ceiling", "none"],
        "graddiff": ["--method", "graddiff"],
    },
}
COLUMNS = (
    "D",
    "forget accuracy",
    "forget loss",
    "test loss of these",
    "AUC",
    "retain accuracy",
    "test accuracy",
    "steps",
)


class Bench:
    """Runs commands in a work folder, each once."""

    def __init__(self, work: Path, epochs: int, arms: Sequence[str] | None) -> None:
        self.work, self.epochs, self.arms = work, epochs, arms
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "data.npz").exists():
            arrays = dict(np.load(Path(os.environ["NGDIFF_DATA"], "cifar", "cifar10_subset.npz"), allow_pickle=False))
            labels = arrays["y_train"]
            kept = np.sort(np.concatenate([np.flatnonzero(labels == own)[:EACH] for own in np.unique(labels)]))
            arrays |= {name: array[kept] for name, array in arrays.items() if name.endswith("_train")}
            np.savez_compressed(work / "data.npz", **arrays)

    def ngdiff(self, command: str, output: str, *options: str) -> Path:
        """Run a command, if its output is not there."""
        done = self.work / f"{output}.done"
        if not done.exists():
            data = [] if command == "score" else ["--task", "image", "--dataset", "data.npz"]
            words = [sys.executable, "-m", "ngdiff", command, *data, *options, "--output", output, "--overwrite"]
            with (self.work / f"{output}.log").open("w", encoding="utf-8") as log:
                subprocess.run(words, cwd=self.work, stdout=log, stderr=log, check=True)
            done.touch()
        return self.work / output

    def learn(self, name: str, seed: int, split: Sequence[str] = ()) -> str:
        """The target, or a model that never saw what is to be forgotten."""
        options = ["--model", "resnet20-cifar", "--num-train-epochs", str(self.epochs), "--no-augment"]
        return self.ngdiff("finetune", name, *options, "--seed", str(seed), *split).name

    def models(self, case: str, seed: int) -> Iterator[tuple[str, str]]:
        """Row of the table and folder of each model."""
        target = self.learn(f"s{seed}-target", seed)
        yield "target", target
        yield "retrained", self.learn(f"s{seed}-{case}-retrained", seed, SPLITS[case])
        for arm, options in ARMS[case].items():
            if self.arms is not None and arm not in self.arms:
                continue
            name = f"s{seed}-{case}-" + "".join(letter if letter.isalnum() else "-" for letter in arm)
            given = [*SPLITS[case], *options, "--seed", str(seed), "--per-device-train-batch-size", str(BATCH)]
            given += ["--save-strategy", "no", "--max-retain-loss", "none"]
            yield arm, self.ngdiff("unlearn", name, "--model", target, *given).name

    def numbers(self, case: str, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
        """Row of the table and numbers of each model, by column."""
        models = dict(self.models(case, seed))
        scores = {
            row: self.ngdiff("evaluate", f"{model}-{case}-scores", "--model", model, *SPLITS[case]).name
            for row, model in models.items()
        }
        others = ["--before", scores["target"], "--retrained", scores["retrained"]]
        known = {"target": 1.0, "retrained": 0.0}  # D, by what it is
        for row, model in models.items():
            result = self.ngdiff("score", f"{model}-{case}.json", scores[row], *([] if row in known else others))
            found = json.loads(result.read_text(encoding="utf-8"))
            log = self.work / model / "report" / "training_log.json"
            steps = json.loads(log.read_text(encoding="utf-8"))["steps"] if log.exists() else []
            yield (
                row,
                {
                    "D": known[row] if row in known else found["distance"]["value"],
                    "forget accuracy": found["forget"]["accuracy"],
                    "forget loss": found["forget"]["loss"],
                    "test loss of these": found["holdout"]["loss"],
                    "AUC": found["membership"]["loss"]["auc"],
                    "retain accuracy": found["retain"]["accuracy"],
                    "test accuracy": found["test"]["accuracy"],
                    "steps": max((row.get("step", 0) for row in steps), default=0),
                },
            )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--work", type=Path, required=True, help="for models and numbers")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("--cases", default=",".join(SPLITS), help=f"of {', '.join(SPLITS)}, separated by commas")
    parser.add_argument("--arms", help="only these rows of the tables, separated by commas")
    parser.add_argument("--epochs", type=int, default=20, help="passes of target and retrained model")
    options = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("set NGDIFF_DATA to the folder that holds cifar/cifar10_subset.npz")
    bench = Bench(options.work.resolve(), options.epochs, options.arms and options.arms.split(","))
    for case in options.cases.split(","):
        print(f"\n{case}", *COLUMNS, sep=" | ")
        rows: dict[str, list[dict[str, float]]] = {}
        for seed in options.seeds.split(","):
            for row, found in bench.numbers(case, int(seed)):
                rows.setdefault(row, []).append(found)
        for row, seeds in rows.items():
            print(row, *(" ".join(f"{own[column]:.3f}" for own in seeds) for column in COLUMNS), sep=" | ")


if __name__ == "__main__":
    main()
