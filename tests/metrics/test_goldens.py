"""Every number equals the original authors' own on their own logs, within what float32 logs allow."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ngdiff.metrics import (
    AUC_RETRAIN,
    choice_probabilities,
    forget_quality,
    forget_truth_ratio_arithmetic,
    headline,
    losses,
    model_utility,
    pair_aucs,
    privleak,
    retain_truth_ratio_arithmetic,
    rouge,
    score,
    summarize,
    truth_ratios,
)
from ngdiff.metrics.muse import knowmem_f, knowmem_recall, verbmem_f, verbmem_recall
from ngdiff.metrics.probability import answer_loss

Runs = dict[str, dict[str, Any]]
TASKS = ("retain", "forget", "real_authors", "world_facts")
AGGREGATES = {"rouge": "rouge_l_recall", "prob": "probability", "truth_ratio": "truth_ratio"}


@pytest.fixture(scope="module")
def summaries(golden_runs: Runs) -> dict[str, dict[str, dict[str, float | int]]]:
    return {
        name: {task: summarize(task, records) for task, records in run["records"].items()}
        for name, run in golden_runs.items()
    }


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["rouge1", "rougeL"])
def test_rouge_of_every_example(golden_runs: Runs, task: str, kind: str) -> None:
    for run in golden_runs.values():
        found = [rouge(r["reference"], r["generated"], kind=kind) for r in run["records"][task]]
        assert found == pytest.approx(run["tasks"][task]["expected"][f"{kind}_recall"], abs=1e-9, rel=0)


@pytest.mark.parametrize("task", TASKS)
def test_losses_of_every_example(golden_runs: Runs, task: str) -> None:
    for run in golden_runs.values():
        records, expected = run["records"][task], run["tasks"][task]["expected"]
        assert losses(records) == pytest.approx(expected["avg_gt_loss"], rel=1e-6)
        paraphrased = [answer_loss(r["paraphrased"]) for r in records]
        assert paraphrased == pytest.approx(expected["avg_paraphrased_loss"], rel=1e-6)
        for record, wanted in zip(records, expected["avg_perturbed_loss"], strict=True):
            assert [answer_loss(p) for p in record["perturbed"]] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_truth_ratio_of_every_example(golden_runs: Runs, task: str) -> None:
    for run in golden_runs.values():
        expected = run["tasks"][task]["expected"]["truth_ratio"]
        assert truth_ratios(run["records"][task]) == pytest.approx(expected, rel=5e-6)


@pytest.mark.parametrize("task", ["real_authors", "world_facts"])
def test_probability_among_the_choices_of_every_example(golden_runs: Runs, task: str) -> None:
    for run in golden_runs.values():
        found = [-math.log(value) for value in choice_probabilities(run["records"][task])]
        # rebuilt from float32 loss sums, where the authors took float32 averages: 6e-7 apart at most
        assert found == pytest.approx(run["tasks"][task]["expected"]["normalized_gt_loss"], abs=1e-6)


def test_aggregates(golden_runs: Runs, summaries: dict[str, Any]) -> None:
    for name, run in golden_runs.items():
        expected = run["expected"]["aggregate_eval_stat.py"]
        for task in TASKS:
            for theirs, ours in AGGREGATES.items():
                assert summaries[name][task][ours] == pytest.approx(expected[task][theirs], abs=1e-6)
        assert model_utility(summaries[name]) == pytest.approx(expected["model_utility"], abs=1e-6)
        assert headline(summaries[name]) == pytest.approx(
            {
                "verbmem": expected["forget"]["rouge"],
                "utility": expected["retain"]["rouge"],
                "truth_ratio": expected["forget"]["truth_ratio"],
                "model_utility": expected["model_utility"],
            },
            abs=1e-6,
        )


def test_aggregates_of_the_arithmetic_variant(golden_runs: Runs, summaries: dict[str, Any]) -> None:
    for name, run in golden_runs.items():
        expected = run["expected"]["utils.py_arithmetic_mean_variant"]
        for task in TASKS:
            rule = forget_truth_ratio_arithmetic if task == "forget" else retain_truth_ratio_arithmetic
            assert rule(run["records"][task]) == pytest.approx(expected[task]["truth_ratio"], abs=1e-6)
        arithmetic = {
            task: {**numbers, "truth_ratio": numbers["truth_ratio_arithmetic"]}
            for task, numbers in summaries[name].items()
        }
        assert model_utility(arithmetic) == pytest.approx(expected["model_utility"], abs=1e-6)


def test_forget_quality_of_every_pair_of_runs(golden_folder: Path) -> None:
    log = json.loads((golden_folder / "tofu_phi_forget_quality.json").read_text(encoding="utf-8"))
    # The log holds 1/R: that of a record whose right answer has loss 0 and whose one wrong answer ln(1/R).
    records = {
        name: [
            {"nll_sum": 0.0, "n_tokens": 1, "perturbed": [{"nll_sum": math.log(value), "n_tokens": 1}]}
            for value in values
        ]
        for name, values in log["ks_input"].items()
    }
    assert log["pairs"]
    for pair in log["pairs"]:
        found = forget_quality(records[pair["unlearned"]], records[pair["retain"]])
        assert found.statistic == pytest.approx(pair["ks_statistic"], abs=1e-9)
        assert found.pvalue == pytest.approx(pair["forget_quality_pvalue"], rel=1e-6)


def test_forget_quality_from_the_records_of_two_runs(golden_folder: Path, golden_runs: Runs) -> None:
    """As `ngdiff score --retrained` does it: from loss sums instead of from the logged truth ratios."""
    log = json.loads((golden_folder / "tofu_phi_forget_quality.json").read_text(encoding="utf-8"))
    tried = 0
    for pair in log["pairs"]:
        names = [pair[side].replace("ft_epoch5_lr2e-05_", "tofu_") for side in ("unlearned", "retain")]
        if not golden_runs.keys() >= set(names):
            continue  # only the texts of some runs are here
        unlearned, retrained = ({"forget": golden_runs[name]["records"]["forget"]} for name in names)
        found = score(unlearned, retrained=retrained)
        assert found["forget_quality_statistic"] == pytest.approx(pair["ks_statistic"], abs=1e-9)
        assert found["forget_quality"] == pytest.approx(pair["forget_quality_pvalue"], rel=1e-6)
        tried += 1
    assert tried >= len(golden_runs)  # each with itself, at least


MUSE_TASKS = {
    "verbmem_f": ("muse_verbmem", verbmem_f, verbmem_recall),
    "knowmem_f": ("muse_knowmem_forget", knowmem_f, knowmem_recall),
    "knowmem_r": ("muse_knowmem_retain", knowmem_f, knowmem_recall),
}


@pytest.mark.parametrize("task", MUSE_TASKS)
def test_muse_rouge_of_every_example_and_its_means(muse_runs: Runs, task: str) -> None:
    name, f, recall = MUSE_TASKS[task]
    for run in muse_runs.values():
        records, expected = run["records"][name], run[task]["expected"]
        assert f(records) == pytest.approx(expected["rougeL"], abs=1e-9, rel=0)
        assert recall(records) == pytest.approx(expected["rougeL_recall"], abs=1e-9, rel=0)
        for statistic, key in (("fmeasure", "rouge1"), ("recall", "rouge1_recall")):
            found = [
                rouge(r["reference"], r["generated"], kind="rouge1", statistic=statistic, stemmer=False)  # type: ignore[arg-type]
                for r in records
            ]
            assert found == pytest.approx(expected[key], abs=1e-9, rel=0)
        numbers = summarize(name, records)
        assert numbers["rouge_l_f"] == pytest.approx(expected["aggregate"]["mean_rougeL"], abs=1e-12)
        assert numbers["rouge_l_recall_unstemmed"] == pytest.approx(
            expected["aggregate"]["mean_rougeL_recall"], abs=1e-12
        )


def test_muse_auc_of_every_ordered_pair_and_score(muse_runs: Runs) -> None:
    for run in muse_runs.values():
        expected = run["privleak"]["expected"]["auc"]
        found = pair_aucs(run["privleak"]["inputs"])
        assert found.keys() == expected.keys()
        for pair, by_score in expected.items():
            # the log's own sums of trapezoids round in the last digits
            assert found[pair] == pytest.approx(by_score, abs=1e-12, rel=0)


def test_muse_privleak(muse_runs: Runs) -> None:
    for run in muse_runs.values():
        expected = run["privleak"]["expected"]
        assert AUC_RETRAIN[run["corpus"]] == expected["auc_retrain_forget_holdout_Min-40%"]
        area = pair_aucs(run["privleak"]["inputs"])["forget_holdout"]["Min-40%"]
        assert privleak(area, AUC_RETRAIN[run["corpus"]]) == pytest.approx(expected["privleak"], abs=1e-9)
