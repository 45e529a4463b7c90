"""Table 4 of the NGDiff paper (arXiv 2410.22086): an image classifier forgets images of one class.

    NGDIFF_DATA=... python benchmarks/cifar_small.py [--jobs 2] [--work DIR] [--ceiling random]
    python benchmarks/cifar_small.py --model resnet50-cifar --dataset cifar10 --epochs 60 --jobs 1     # on a GPU

A target is trained on all images and a reference on those to keep; then each method makes the target forget. Each run
is one `ngdiff` command, as a user would type it. Runs that are already in the work folder are not repeated. Prints one
table and the seconds of each run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ngdiff.data.cifar import PAPER_CLASS

# Row of the table -> options of `ngdiff unlearn`. The paper gives its own method AutoLR and the others a fixed rate.
ARMS: dict[str, list[str]] = {
    "GDiff 0.9": ["--weighting", "gdiff", "--c", "0.9"],
    "GDiff 0.5": ["--weighting", "gdiff", "--c", "0.5"],
    "GDiff 0.1": ["--weighting", "gdiff", "--c", "0.1"],
    "LossNorm": ["--weighting", "lossnorm"],
    "NGDiff": ["--weighting", "ngdiff"],
    "GDiff 0.5, AutoLR": ["--weighting", "gdiff", "--c", "0.5", "--learning-rate", "auto"],
    "NGDiff, AutoLR": ["--weighting", "ngdiff", "--learning-rate", "auto"],
    "NGDiff, AutoLR, ceiling ln V": ["--weighting", "ngdiff", "--learning-rate", "auto", "--forget-ceiling", "random"],
}
SETS = {"forget": "forget", "retain": "retain", "holdout": "test, class", "test": "test, others"}


class Bench:
    """Runs commands in a work folder, each once."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.arguments, self.work = arguments, work
        self.split = ["--dataset", arguments.dataset, "--forget-class", arguments.forget_class]
        self.seconds: dict[str, float] = {}

    def ngdiff(self, command: str, output: str, *options: str) -> Path:
        """Run `ngdiff command --task image ... --output output` unless it has run; its output goes to a log file."""
        done = self.work / f"{output}.done"
        if not done.exists():
            words = [sys.executable, "-m", "ngdiff", command, "--task", "image", *options, "--output", output]
            words += ["--overwrite"] if (self.work / output).exists() else []
            # One thread for each process: two spinning pools on two cores slow each other down.
            threads = {"OMP_NUM_THREADS": "1"} if self.arguments.jobs > 1 else {}
            start = time.monotonic()
            with (self.work / f"{output}.log").open("w") as log:
                subprocess.run(words, cwd=self.work, env={**os.environ, **threads}, stdout=log, stderr=log, check=True)
            done.write_text(f"{time.monotonic() - start:.1f}")
        self.seconds[output] = float(done.read_text())
        return self.work / output

    def evaluate(self, model: str) -> dict[str, float]:
        """Accuracies by set, and the AUC of membership inference."""
        folder = self.ngdiff("evaluate", f"{model}-scores", "--model", model, *self.split)
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        numbers = {name: found[name]["accuracy"] for name in SETS}
        return {**numbers, "forget loss": found["forget"]["loss"], "auc": found["membership"]["loss"]["auc"]}

    def learn(self, name: str) -> dict[str, float]:
        """A target, trained on all images, or a reference, trained on those to keep."""
        options = ["--model", self.arguments.model, "--num-train-epochs", str(self.arguments.epochs)]
        data = self.split if name == "retrained" else self.split[:2]
        self.ngdiff("finetune", name, *options, *data, "--seed", str(self.arguments.seed))
        return self.evaluate(name)

    def unlearn(self, arm: str) -> dict[str, float]:
        """One method from the target."""
        ceiling = self.arguments.ceiling
        named = arm if ceiling == "none" else f"{arm} ceiling {ceiling}"
        name = "".join(c if c.isalnum() else "-" for c in named)
        options = ["--model", "target", *self.split, "--learning-rate", str(self.arguments.rate)]
        options += ["--num-train-epochs", str(self.arguments.passes), "--save-strategy", "no"]
        options += ["--per-device-train-batch-size", str(self.arguments.batch), "--seed", str(self.arguments.seed)]
        options += ["--max-retain-loss", "none"]  # a method that destroys has its row in the table
        self.ngdiff("unlearn", name, *options, "--forget-ceiling", ceiling, *ARMS[arm])
        return self.evaluate(name)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20-cifar", help="a shape, or a folder or hub name")
    parser.add_argument("--dataset", help="as of ngdiff ($NGDIFF_DATA/cifar/cifar10_subset.npz)")
    parser.add_argument("--forget-class", help="dog; bed where the data set's name begins with cifar100")
    parser.add_argument("--epochs", type=int, default=8, help="passes of the target and the reference")
    parser.add_argument("--passes", type=int, default=8, help="passes over the forget set")
    parser.add_argument("--batch", type=int, default=50, help="images of each side in a step of unlearning")
    parser.add_argument("--rate", type=float, default=1e-4, help="fixed rate of the methods without AutoLR (AdamW)")
    parser.add_argument("--ceiling", default="none", help="--forget-ceiling; the paper has none")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="rows of the table (all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--work", type=Path, help="folder for models and logs (a temporary one)")
    arguments = parser.parse_args()
    if arguments.dataset is None:
        if "NGDIFF_DATA" not in os.environ:
            raise SystemExit("give --dataset, or set NGDIFF_DATA to the folder that holds cifar/cifar10_subset.npz")
        arguments.dataset = str(Path(os.environ["NGDIFF_DATA"], "cifar", "cifar10_subset.npz"))
    if arguments.forget_class is None:
        hundred = "cifar100" in Path(arguments.dataset).name
        arguments.forget_class = PAPER_CLASS["cifar100" if hundred else "cifar10"]
    if Path(arguments.dataset).exists():  # the commands run in the work folder
        arguments.dataset = str(Path(arguments.dataset).resolve())
    work = arguments.work or Path(tempfile.mkdtemp(prefix="cifar-small-"))
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments, work)
    start = time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        first = list(pool.map(bench.learn, ["target", "retrained"]))
        arms = list(pool.map(bench.unlearn, arguments.arms))
    table = dict(zip(["before (target)", "retrained on the retain set", *arguments.arms], [*first, *arms], strict=True))
    (work / "results.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    print(f"| run | {' | '.join(SETS.values())} | forget loss | membership AUC |\n|{'---|' * (len(SETS) + 3)}")
    for name, found in table.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in found.values())} |")
    shown = ", ".join(f"{name} {seconds:.0f}" for name, seconds in sorted(bench.seconds.items()))
    print(f"\n{time.monotonic() - start:.0f} s in this call; seconds of each run: {shown}\nFiles: {work}")


if __name__ == "__main__":
    main()
