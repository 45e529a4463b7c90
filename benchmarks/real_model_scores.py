"""The numbers of `real_model.py`: what a model knows of each set, how fluently it answers, how far it stands from
one that never saw the rows."""

import gc
import statistics
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

from tofu_small import RECITES

from ngdiff.data import EvaluationSet, Row, read_rows, resolve_template
from ngdiff.evaluation import EvaluationResult, evaluate, write_evaluation
from ngdiff.metrics.never_seen import never_seen
from ngdiff.metrics.records import Sets
from ngdiff.modeling import load_model, load_tokenizer
from ngdiff.scoring.records import read_sets

Table = dict[str, dict[str, dict[str, float]]]  # row -> seed -> numbers

OWN = {"forget": "forget.jsonl", "retain": "retain.jsonl", "holdout": "unseen.jsonl"}
GENERAL = ("real_authors", "world_facts")
# Head of a column -> its numbers.
COLUMNS = {
    "D": "distance",
    "D by unseen rows": "distance_holdout",
    "Verbmem": "verbmem",
    "Utility": "utility",
    "forget loss": "loss",
    "extraction / exact": "extraction_strength exact_memorisation",
    "truth ratio": "truth_ratio",
    "AUC loss / min-20 %": "auc_loss auc_min-20%",
    "collateral": "collateral",  # nats by which the loss of unseen rows rose
    "unseen: loss / ROUGE": "unseen_loss unseen_rouge_l_recall",
    "real authors: ROUGE / p": "real_authors_rouge_l_recall real_authors_probability",
    "world facts: ROUGE / p": "world_facts_rouge_l_recall world_facts_probability",
    "fluency: forget / unseen": "fluency unseen_fluency",
    "steps": "steps",
    "CPU s": "cpu_seconds",
}


class Scorer:
    """Evaluates the models of a folder.

    Args:
        work: The folder, with the rows of `OWN` and the model `base`.
        tofu: The folder of TOFU's files.
        general: How many real authors, and how many world facts, are asked for.
        new_tokens: Longest answer about those.
    """

    def __init__(self, work: Path, tofu: Path, *, general: int, new_tokens: int) -> None:
        self._work = work
        self._sets = {name: EvaluationSet(read_rows(str(work / file), role=name)) for name, file in OWN.items()}
        for name in GENERAL:
            rows = read_rows(f"{tofu}:{name}", role=name)[:general]
            self._sets[name] = EvaluationSet(rows, max_new_tokens=new_tokens)

    def __call__(self, model: str, output: Path) -> dict[str, float]:
        """The numbers of one model; records and metrics go to `output`."""
        result = self._evaluate(model, self._sets)
        write_evaluation(result, output)
        return numbers_of(result.as_json()) | self._fluency(result)

    def _evaluate(self, model: str, sets: Mapping[str, Any], **options: Any) -> EvaluationResult:
        with chdir(self._work):  # an adapter names its model as it stands in the folder
            loaded, tokenizer = load_model(model, dtype="float32"), load_tokenizer(model)
        template = resolve_template("auto", tokenizer, self._sets["forget"].rows)
        result = evaluate(loaded, tokenizer, sets, template, show_progress=False, **options)
        del loaded
        gc.collect()
        return result

    def _fluency(self, result: EvaluationResult) -> dict[str, float]:
        """Of the answers about forget and unseen rows: probability by token, `exp(-loss)`, under the base model.

        It is near 0 for noise, and 0 for no answer.
        """
        said: dict[str, list[Row]] = {}
        for name in ("forget", "holdout"):
            pairs = zip(self._sets[name].rows, result.records[name], strict=True)
            said[name] = [replace(row, answer=str(one["generated"])) for row, one in pairs if one["generated"]]
            said[name] = [replace(row, paraphrased_answer=None, perturbed_answers=()) for row in said[name]]
        sets = {name: rows for name, rows in said.items() if rows}
        found = self._evaluate("base", sets, generate=False).metrics if sets else {}
        shares = {name: len(rows) / len(result.records[name]) for name, rows in said.items()}
        return {
            column: shares[name] * found[name]["probability"] if said[name] else 0.0
            for column, name in (("fluency", "forget"), ("unseen_fluency", "holdout"))
        }


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What the table shows of `metrics.json`."""
    forget, unseen = metrics["forget"], metrics["holdout"]
    told = ("loss", "probability", "extraction_strength", "exact_memorisation", "truth_ratio")
    return {
        "verbmem": metrics["verbmem"],
        "utility": metrics["utility"],
        "retain_loss": metrics["retain"]["loss"],
        **{key: forget[key] for key in told if key in forget},
        **{f"auc_{score}": metrics["membership"][score]["auc"] for score in ("loss", "min-20%")},
        **{f"unseen_{key}": unseen[key] for key in ("loss", "rouge_l_recall")},
        **{f"{name}_{key}": metrics[name][key] for name in GENERAL for key in ("rouge_l_recall", "probability")},
    }


def never_seen_numbers(now: Path, target: Path, retrained: Path, base: Path) -> dict[str, float]:
    """D and collateral of an evaluation, as far as the others have been evaluated."""

    def records(folder: Path) -> Sets | None:
        return read_sets([folder]) if (folder / "metrics.json").exists() else None

    found, _ = never_seen(read_sets([now]), before=records(target), retrained=records(retrained), base=records(base))
    numbers: dict[str, float | None] = {
        key: found[key]["value"] for key in ("distance", "distance_holdout") if key in found
    }
    if "distance" in found:
        numbers["distance_noise"] = found["distance"]["noise"]
        numbers |= {f"d_{name}": part["value"] for name, part in found["distance"]["parts"].items()}
    numbers["collateral"] = found.get("collateral", {}).get("holdout")
    return {name: value for name, value in numbers.items() if value is not None}


def print_table(table: Table) -> None:
    """Means over the seeds."""
    print(f"| run | seeds | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    for label, seeds in table.items():
        cells = []
        for group in COLUMNS.values():
            values = [[numbers[key] for numbers in seeds.values() if key in numbers] for key in group.split()]
            cells.append(" / ".join(_shown(statistics.fmean(one)) if one else "" for one in values))
        print(f"| {label} | {' '.join(seeds)} | {' | '.join(cells)} |")
    for seed, numbers in table.get("target", {}).items():
        if min(numbers["verbmem"], numbers["utility"]) < RECITES:
            print(f"\nThe target of seed {seed} does not recite: more --passes, in another folder.")


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 40 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
