"""Every weighting at a fixed rate and under AutoLR, every forget objective with two weightings, on real TOFU authors.

    NGDIFF_DATA=... python benchmarks/methods.py [--authors 10] [--seeds 0] [--jobs 2] [--work DIR]

The target is that of `tofu_small.py`: a small Llama that recites the answers about the last authors of TOFU; the last
author's are to be forgotten. Each arm runs in a process of its own on one thread, by default options but for those in
its row. Every fifth step the forget rows are generated, so that a row of the table says after how many steps Verbmem
fell below 0.1. Seconds are those of the processor in training alone; they compare within a table. Arms already in the
work folder are not repeated.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from commands import name_of
from tofu_small import QUESTIONS, Bench

RATE = "1e-4"  # the paper's largest, and its search's nominal start
WATCHED = 5  # steps between two looks at Verbmem
FORGOTTEN = 0.1

WEIGHTINGS = [
    *("ngdiff", "gdiff(c=0.9)", "gdiff(c=0.5)", "gdiff(c=0.1)", "lossnorm", "rlw", "pcgrad", "pcgrad-symmetric"),
    *("imtl-g", "gradnorm", "ga", "gd", "torchjd:upgrad", "torchjd:mgda", "blur", "gru", "pdu", "sago", "sago-sum"),
]
OBJECTIVES = ["ce", "npo", "simnpo", "dpo", "idk", "wga", "satimp", "undial", "ceu", "rmu"]
FREE = ["prodigy", "dadapt-adam", "schedule-free-adamw"]


def arms() -> dict[str, dict[str, Any]]:
    """Row of the table -> options of `UnlearnConfig`."""
    table: dict[str, dict[str, Any]] = {}
    for weighting in WEIGHTINGS:
        for rate in (RATE, "auto"):
            table[f"ce, {weighting}, {rate}"] = {"weighting": weighting, "learning_rate": rate}
    for objective in OBJECTIVES[1:]:
        for weighting in ("gdiff", "ngdiff"):
            table[f"{objective}, {weighting}, auto"] = {"forget_objective": objective, "weighting": weighting}
    for weighting in ("gdiff", "ngdiff"):
        table[f"ce, {weighting}, auto, retain kl"] = {"retain_objective": "kl", "weighting": weighting}
    table["npo, ga, auto"] = {"method": "npo"}
    for optimizer in FREE:
        table[f"ce, ngdiff, {optimizer}"] = {"optimizer": optimizer}
    return table


def train(work: str, seed: int, name: str, options: dict[str, Any]) -> dict[str, float]:
    """One arm: scores at its end, steps to forgetting, seconds of training."""
    done = Path(work) / "arms" / f"s{seed}-{name_of(name)}.json"
    if done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    import torch
    from transformers import TrainerCallback

    from ngdiff import UnlearnConfig, UnlearnTrainer
    from ngdiff.data import read_rows, resolve_template
    from ngdiff.evaluation import evaluate
    from ngdiff.modeling import load_model, load_tokenizer

    torch.set_num_threads(1)
    target = Path(work) / f"s{seed}-target"
    model, tokenizer = load_model(target, dtype="float32"), load_tokenizer(target)
    sets = {role: read_rows(str(Path(work) / f"{role}.jsonl"), role=role) for role in ("forget", "retain")}
    template = resolve_template("auto", tokenizer, sets["forget"])

    def scores(names: list[str]) -> dict[str, Any]:
        chosen = {name: sets[name] for name in names}
        found = evaluate(model, tokenizer, chosen, template, max_length=512, show_progress=False)
        return found.metrics

    class Watch(TrainerCallback):
        """Verbmem every few steps; its own seconds do not count."""

        steps, seconds = float("inf"), 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % WATCHED or self.steps < float("inf"):
                return
            started = time.process_time()
            trainer.use_averaged_weights()
            if scores(["forget"])["forget"]["rouge_l_recall"] < FORGOTTEN:
                self.steps = state.global_step
            self.seconds += time.process_time() - started

    with tempfile.TemporaryDirectory() as output:
        config = UnlearnConfig(
            output_dir=output,
            use_cpu=True,
            disable_tqdm=True,
            report_to=[],
            save_strategy="no",
            seed=seed,
            **options,
        )
        watch = Watch()
        trainer = UnlearnTrainer(
            model, config, sets["forget"], sets["retain"], processing_class=tokenizer, callbacks=[watch]
        )
        started = time.process_time()
        failure = ""
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # a line for each step
                trainer.train()
        except FloatingPointError as error:
            failure = str(error)
        seconds = time.process_time() - started - watch.seconds
    result: dict[str, Any] = {"steps_to_forget": watch.steps, "seconds": seconds, "failure": failure}
    if not failure:
        found = scores(["forget", "retain"])
        result |= {
            "verbmem": found["forget"]["rouge_l_recall"],
            "utility": found["retain"]["rouge_l_recall"],
            "truth_ratio": found["forget"]["truth_ratio"],
            "forget_loss": found["forget"]["loss"],
        }
    done.parent.mkdir(exist_ok=True)
    done.write_text(json.dumps(result), encoding="utf-8")
    return result


def with_perturbed(work: Path, authors: int) -> None:
    """Give the forget file the paraphrased and perturbed answers that a truth ratio needs."""
    file = Path(os.environ["NGDIFF_DATA"]) / "tofu" / "forget10_perturbed.json"
    count = max(authors // 10, 1) * QUESTIONS
    keys = ("question", "answer", "paraphrased_answer", "perturbed_answer")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[-count:]]
    plain = [json.loads(line) for line in (work / "forget.jsonl").read_text(encoding="utf-8").splitlines()]
    if [row["question"] for row in rows] != [row["question"] for row in plain]:
        raise SystemExit(f"{file} does not end with the rows to forget")
    lines = [json.dumps({key: row[key] for key in keys}) for row in rows]
    (work / "forget.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--authors", type=int, default=10, help="the last so many authors of TOFU, 10 to 40")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--arms", nargs="+", help="rows of the table whose name holds one of these words (all)")
    parser.add_argument("--work", type=Path, help="folder for data, models and results (a temporary one)")
    arguments = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/full.json")
    work = arguments.work or Path(tempfile.mkdtemp(prefix="methods-"))
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(work, arguments.authors)
    targets = [bench.learn(f"s{seed}-target", "all.jsonl", seed) for seed in arguments.seeds]
    retrained = [bench.learn(f"s{seed}-retrained", "retain.jsonl", seed) for seed in arguments.seeds]
    with_perturbed(work, arguments.authors)
    table = {
        name: options
        for name, options in arms().items()
        if not arguments.arms or any(word in name for word in arguments.arms)
    }
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        jobs = {
            name: [pool.submit(train, str(work), seed, name, options) for seed in arguments.seeds]
            for name, options in table.items()
        }
        results = {name: [job.result() for job in found] for name, found in jobs.items()}
    print("| forget objective, weighting, learning rate | Verbmem | Utility | truth ratio | forget loss | steps | s |")
    print("|---|---|---|---|---|---|---|")
    for name, found in {"before": targets, "retrained without the forget set": retrained, **results}.items():
        print(f"| {name} | {' | '.join(_cells(found))} |")
    print(f"\nSteps: until Verbmem < {FORGOTTEN}, looked at every {WATCHED}. Files: {work}", file=sys.stderr)


def _cells(found: list[dict[str, Any]]) -> list[str]:
    failures = [result["failure"] for result in found if result.get("failure")]
    if failures:
        return [failures[0].partition(";")[0], *[""] * 5]
    cells = []
    for key, digits in (("verbmem", 3), ("utility", 3), ("truth_ratio", 3), ("forget_loss", 2)):
        cells.append(f"{statistics.fmean(r[key] for r in found):.{digits}f}" if key in found[0] else "")
    steps = [result.get("steps_to_forget") for result in found]
    cells.append("" if None in steps else ", ".join("never" if s == float("inf") else str(s) for s in steps))
    cells.append("" if "seconds" not in found[0] else f"{statistics.fmean(r['seconds'] for r in found):.0f}")
    return cells


if __name__ == "__main__":
    main()
