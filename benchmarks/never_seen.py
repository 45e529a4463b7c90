"""How near every method ends to a model that never saw the rows, on real TOFU authors and a small Llama.

    NGDIFF_DATA=... python benchmarks/never_seen.py --work DIR [--seeds 0 1 2] [--groups main] [--data muse-news]

A Llama of 3.4 M parameters learns the last 20 authors of TOFU (400 rows) from random weights; the last rows are to be
forgotten. Another one, trained on other authors, stands for the model before fine-tuning; it and 100 holdout rows are
what a user may have. D is taken on 100 further rows that no model and no run has seen. Means over the seeds with 95 %
t-intervals; D of a second retrained model, of another seed, is the noise floor. What is done is not done again. The
numbers lie in `table.json`, from which `docs/figures/draw_never_seen.py` draws.
"""

import argparse
import contextlib
import io
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from commands import Commands, name_of

ROWS, WORDS = 400, 60
HOLDOUT, UNSEEN, BASE = slice(-600, -500), slice(-500, -400), slice(0, 1000)
KEYS = ("question", "answer", "paraphrased_answer", "perturbed_answer")

BASE_MODEL, HOLDOUT_ROWS, MADE_UP = "base_model", "holdout", "made up"
# Options of `UnlearnConfig`; what is given beside the two sets; number of requests, 1 where it is not there.
Arm = tuple[Any, ...]

MAIN: dict[str, Arm] = {
    "ngdiff": ({"method": "ngdiff"}, ()),
    "default": ({}, (MADE_UP,)),
    "ngdiff, ceiling holdout": ({"method": "ngdiff", "forget_ceiling": "holdout"}, (HOLDOUT_ROWS,)),
    "Algorithm 1 as printed": ({"preset": "paper"}, ()),
    "graddiff": ({"method": "graddiff"}, ()),
    "npo+ngdiff": ({"method": "npo+ngdiff"}, ()),
    "simnpo+ngdiff": ({"method": "simnpo+ngdiff"}, ()),
    "undial+ngdiff": ({"method": "undial+ngdiff"}, ()),
    "default with --holdout": ({}, (HOLDOUT_ROWS,)),
    "teacher+ngdiff": ({"method": "teacher+ngdiff"}, (BASE_MODEL,)),
    "default with --base-model": ({}, (BASE_MODEL, MADE_UP)),
    "default with --base-model and --holdout": ({}, (BASE_MODEL, HOLDOUT_ROWS)),
}
WEIGHTINGS: dict[str, Arm] = {
    f"unseen+{name}": ({"method": f"unseen+{name}"}, (BASE_MODEL, HOLDOUT_ROWS))
    for name in ("gdiff", "gdiff(c=0.9)", "pcgrad", "imtl-g", "lossnorm", "gradnorm", "blur", "gru", "pdu", "sago")
}
FIXED: dict[str, Arm] = {
    f"{name} at {rate}": ({"method": name, "learning_rate": rate}, ())
    for name in ("graddiff", "npo+gdr", "simnpo")
    for rate in ("1e-5", "5e-5", "1e-4", "5e-4")
}
REQUESTS: dict[str, Arm] = {
    f"{label}, {count} requests": (*MAIN[label], count)
    for label in ("ngdiff", "default with --base-model and --holdout")
    for count in (2, 4)
}
GROUPS = {"main": MAIN, "weightings": WEIGHTINGS, "fixed": FIXED, "requests": REQUESTS}
COLUMNS = (
    "D",
    "D by holdout",
    "verbmem",
    "utility",
    "loss",
    "extraction_strength",
    "AUC min-20 %",
    "collateral",
    "seconds",
)


def tofu_sets(tofu: Path, forget: int) -> dict[str, list[str]]:
    """The last authors of TOFU; the last rows are to be forgotten."""
    rows = (tofu / "full.json").read_text(encoding="utf-8").splitlines()
    perturbed = [json.loads(line) for line in (tofu / "forget10_perturbed.json").read_text("utf-8").splitlines()]
    return {
        "all": rows[-ROWS:],
        "retain": rows[-ROWS:-forget],
        "forget": rows[-forget:],
        "asked": [json.dumps({key: row[key] for key in KEYS}) for row in perturbed[-forget:]],
        "kept": rows[-ROWS:-forget][::3],
        "holdout": rows[HOLDOUT],
        "unseen": rows[UNSEEN],
        "base": rows[BASE],
    }


def muse_sets(muse: Path, forget: int) -> dict[str, list[str]]:
    """The beginnings of passages of MUSE-News, 60 words each: texts without a question."""

    def beginnings(part: str) -> list[str]:
        from ngdiff.data import read_rows

        words = [row.answer.split() for row in read_rows(f"muse-news:{muse}:{part}", role=part)]
        return [json.dumps({"text": " ".join(own[:WORDS])}) for own in words if len(own) >= WORDS]

    asked, kept, never = (beginnings(part) for part in ("forget", "privleak/retain", "privleak/holdout"))
    rows = {"forget": asked[:forget], "retain": kept[:100], "holdout": never[50:100], "unseen": never[:50]}
    more = {"all": [*rows["retain"], *rows["forget"]], "asked": rows["forget"], "kept": rows["retain"]}
    return {**rows, **more, "base": asked[-300:]}


# Data set -> its folder below NGDIFF_DATA, its sets, and the number of rows to forget.
DATA: dict[str, tuple[str, Callable[[Path, int], dict[str, list[str]]], int]] = {
    "tofu": ("tofu", tofu_sets, 40),
    "muse-news": ("muse_news", muse_sets, 20),
}


class Bench(Commands):
    """Models and files in a work folder.

    Args:
        work: The folder.
        data: Data set.
        forget: Number of rows to forget; None: the data set's own.
    """

    def __init__(self, work: Path, data: str, forget: int | None) -> None:
        super().__init__(work)
        place, sets, usual = DATA[data]
        for name, lines in sets(Path(os.environ["NGDIFF_DATA"], place).resolve(), forget or usual).items():
            self.write(f"{name}.jsonl", lines)

    def models(self, seed: int) -> None:
        """Target, base model and two retrained models of a seed."""
        stop: tuple[str, ...] = ("--stop-loss", "0.02", "--save-strategy", "no", "--model", "llama-tiny")
        target = f"s{seed}-target"
        self.ngdiff("finetune", target, *stop, "--train", "all.jsonl", "--seed", str(seed))
        stop = (*stop, "--tokenizer", target)
        for name, other in (("retrained", seed), ("again", seed + 200)):
            self.ngdiff("finetune", f"s{seed}-{name}", *stop, "--train", "retain.jsonl", "--seed", str(other))
        base = (*stop[2:], "--train", "base.jsonl", "--seed", str(seed + 100), "--num-train-epochs", "8")
        self.ngdiff("finetune", f"s{seed}-base", *base)


class Scorer:
    """Scores models of one seed against its retrained one."""

    def __init__(self, bench: Bench, seed: int) -> None:
        from ngdiff.data import read_rows, resolve_template, unseen_people
        from ngdiff.metrics import row_values
        from ngdiff.modeling import load_model, load_tokenizer

        self.bench, self.seed = bench, seed
        self.values = row_values
        self.load = lambda name: load_model(bench.work / f"s{seed}-{name}", dtype="float32")
        self.tokenizer = load_tokenizer(bench.work / f"s{seed}-target")
        files = {"forget": "asked", "retain": "kept", "holdout": "unseen"}
        self.sets = {role: read_rows(str(bench.work / f"{file}.jsonl"), role=role) for role, file in files.items()}
        self.given = {name: read_rows(str(bench.work / f"{name}.jsonl"), role=name) for name in ("forget", "retain")}
        self.given[HOLDOUT_ROWS] = read_rows(str(bench.work / "holdout.jsonl"), role="holdout")
        self.given[MADE_UP] = unseen_people()
        self.template = resolve_template("auto", self.tokenizer, self.sets["forget"])
        self.known = {name: self.evaluate(self.load(name)) for name in ("target", "retrained", "base")}

    def evaluate(self, model: Any) -> Any:
        """Records and metrics."""
        from ngdiff.evaluation import evaluate

        return evaluate(model, self.tokenizer, self.sets, self.template, max_length=512, show_progress=False)

    def numbers(self, found: Any) -> dict[str, float]:
        """D and what stands beside it."""
        from ngdiff.metrics.distance import distance, distance_from_holdout

        now, target, retrained, base = (
            self.values(one.records)
            for one in (found, self.known["target"], self.known["retrained"], self.known["base"])
        )
        truth = distance(now, retrained, target)
        corrected, alone = distance_from_holdout(now, target, base), distance_from_holdout(now, target)
        metrics = found.metrics
        return {
            "D": truth.value if truth.value is not None else math.nan,
            "D by holdout": alone.value if alone.value is not None else math.nan,
            "D by holdout and base": corrected.value if corrected.value is not None else math.nan,
            "verbmem": metrics["forget"]["rouge_l_recall"],
            "utility": metrics["retain"]["rouge_l_recall"] / self.known["target"].metrics["retain"]["rouge_l_recall"],
            "loss": metrics["forget"]["loss"],
            "extraction_strength": metrics["forget"]["extraction_strength"],
            "AUC min-20 %": truth.parts["auc_min-20%"].now if "auc_min-20%" in truth.parts else math.nan,
            "collateral": metrics["holdout"]["loss"] - self.known["target"].metrics["holdout"]["loss"],
            **{f"d {name}": part.value for name, part in truth.parts.items() if part.value is not None},
        }

    def unlearn(self, options: Mapping[str, Any], given: tuple[str, ...], requests: int = 1) -> dict[str, Any]:
        """One run, or one for each of several requests that come one after the other; scored at the end.

        What is asked for later is still to be kept; what was forgotten earlier is in no set any more.
        """
        from ngdiff import UnlearnConfig, UnlearnTrainer

        model, seconds, steps = self.load("target"), 0.0, 0
        rows, size = self.given["forget"], len(self.given["forget"]) // requests
        beside: dict[str, Any] = {}
        if BASE_MODEL in given:
            beside["base_model"] = lambda: self.load("base")
        for name in (HOLDOUT_ROWS, MADE_UP):
            if name in given:
                beside["holdout_dataset"] = self.given[name]
        for start in range(0, len(rows), size):
            forget, later = rows[start : start + size], rows[start + size :]
            with tempfile.TemporaryDirectory() as output:
                config = UnlearnConfig(
                    output_dir=output,
                    use_cpu=True,
                    disable_tqdm=True,
                    report_to=[],
                    save_strategy="no",
                    seed=self.seed,
                    **options,
                )
                sets = forget, [*self.given["retain"], *later]
                trainer = UnlearnTrainer(model, config, *sets, processing_class=self.tokenizer, **beside)
                started = time.process_time()
                try:
                    with contextlib.redirect_stdout(io.StringIO()):  # a line for each step
                        trainer.train()
                except FloatingPointError as error:
                    return {"failed": str(error)}
                seconds, steps = seconds + time.process_time() - started, steps + trainer.state.global_step
        return {**self.numbers(self.evaluate(model)), "seconds": seconds, "steps": steps}


def row_of(label: str, seeds: Mapping[int, Mapping[str, float]]) -> str:
    """Means over the seeds, with half the 95 % t-interval where there are several."""
    cells = []
    for column in COLUMNS:
        values = [numbers[column] for numbers in seeds.values() if column in numbers]
        mean = statistics.fmean(values) if values else math.nan
        half = ""
        if len(values) > 1:
            t = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}[len(values)]
            half = f" ± {t * statistics.stdev(values) / math.sqrt(len(values)):.2f}"
        cells.append(f"{mean:.0f}" if column == "seconds" else f"{mean:.3f}{half}")
    return f"| {label} | {' | '.join(cells)} |"


def main() -> None:
    """Run what is not there yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data, models and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--groups", nargs="+", default=["main"], choices=GROUPS)
    parser.add_argument("--runs", nargs="+", metavar="LABEL", help="only these of the groups")
    parser.add_argument("--data", choices=DATA, default="tofu", help="data set; of another one, in another folder")
    parser.add_argument("--forget", type=int, help="number of rows to forget (40 of TOFU, 20 of MUSE-News)")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    bench = Bench(options.work.resolve(), options.data, options.forget)
    arms = {label: arm for group in options.groups for label, arm in GROUPS[group].items()}
    if unknown := set(options.runs or ()) - arms.keys():
        parser.error(f"--runs {min(unknown)}: no run of {', '.join(options.groups)}; there are {', '.join(arms)}")
    arms = {label: arm for label, arm in arms.items() if options.runs is None or label in options.runs}
    table: dict[str, dict[int, Any]] = {}
    for seed in options.seeds:
        bench.models(seed)
        scorer: Scorer | None = None
        for label, arm in {"target": None, "retrained": None, "again": None, **arms}.items():
            file = bench.work / "numbers" / f"s{seed}-{name_of(label)}.json"
            if not file.exists():
                scorer = scorer or Scorer(bench, seed)
                found = scorer.numbers(scorer.evaluate(scorer.load(label))) if arm is None else scorer.unlearn(*arm)
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(found, indent=1), encoding="utf-8")
                print(row_of(f"{label}, seed {seed}", {seed: found}), flush=True)
            table.setdefault(label, {})[seed] = json.loads(file.read_text(encoding="utf-8"))
    (bench.work / "table.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    print(f"\n| run | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for label, seeds in table.items():
        print(row_of(label, seeds))
    _print_agreement(table)


def _print_agreement(table: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
    """What the forms without a retrained model say, against the truth."""
    from scipy.stats import spearmanr

    runs = [
        numbers
        for label, seeds in table.items()
        if label not in ("target", "retrained", "again")
        for numbers in seeds.values()
        if "D" in numbers
    ]
    for form in ("D by holdout", "D by holdout and base"):
        pairs = [(numbers["D"], numbers[form]) for numbers in runs if form in numbers]
        if len(pairs) > 2:
            found = spearmanr(*zip(*pairs, strict=True))
            print(f"\nRank correlation of {form} with D over {len(pairs)} runs: {found.statistic:.2f}")


if __name__ == "__main__":
    main()
