"""`--preset`: what it sets, what wins over it, and that `paper` is Algorithm 1, written here by hand."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig
from ngdiff.training.presets import PRESETS

PAPER = PRESETS["paper"].values


def config(tmp_path, **options) -> UnlearnConfig:
    return UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, **options)


def test_a_preset_sets_its_options_and_no_other(tmp_path):
    plain, paper = config(tmp_path), config(tmp_path, preset="paper")
    assert {name: getattr(paper, name) for name in PAPER} == PAPER
    others = {name: value for name, value in paper.given.items() if name not in {*PAPER, "preset", "logging_dir"}}
    assert others == {name: plain.given[name] for name in others}


def test_every_option_of_a_preset_differs_from_the_default_or_pins_it(tmp_path):
    same = {name for name, value in PAPER.items() if getattr(config(tmp_path), name) == value}
    assert same == {"autolr_interval"}


def test_given_options_win_and_the_run_says_that_it_is_not_the_presets(tmp_path, caplog):
    made = config(tmp_path, preset="paper", autolr_inertia=0.5, forget_ceiling="none", learning_rate="auto:3e-5")
    assert made.autolr_inertia == 0.5  # also where that is the default
    assert made.autolr_start == 3e-5
    (record,) = caplog.records
    assert record.getMessage() == (
        "--preset paper, but with --learning-rate auto:3e-5 in place of auto:0.0001, "
        "--autolr-inertia 0.5 in place of 0.0."
    )


def test_a_value_written_another_way_is_the_same_value(tmp_path, caplog):
    config(tmp_path, preset="paper", learning_rate="auto:1e-4", autolr_inertia=0, autolr_max_change=math.inf)
    assert not caplog.records


def test_what_was_resolved_stands_without_the_preset(tmp_path):
    """As in the config file of a run, where all values are given; and in a copy."""
    paper = config(tmp_path, preset="paper", seed=3)
    for again in (copy.copy(paper), copy.deepcopy(paper), replace(paper, seed=4)):
        assert {name: getattr(again, name) for name in PAPER} == {name: getattr(paper, name) for name in PAPER}


def test_the_documented_switches_are_those_of_the_preset(tmp_path):
    """The table "Departures from the paper": the rows that `--preset paper` undoes, by their switches."""
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    section = text.partition("## Departures from the paper")[2].partition("\n## ")[0]
    rows = [line.split("|")[4:6] for line in section.splitlines() if line.endswith("| yes |")]
    found = {}
    for switch, _ in rows:
        name, _, value = switch.strip(" `").removeprefix("--").partition(" ")
        found[name.removeprefix("no-").replace("-", "_")] = value or False
    changed = {name: value for name, value in PAPER.items() if getattr(config(tmp_path), name) != value}
    kinds = {name: type(value) for name, value in changed.items()}
    assert {name: kinds[name](value) for name, value in found.items()} == changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "papre"}, "--preset papre is not known; one of paper"),
        ({"preset": "paper", "optimizer": "prodigy"}, "--preset paper with --optimizer prodigy: it is Algorithm 1"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        config(tmp_path, **options)


class AlgorithmOne:
    """The paper's Algorithm 1 with AdamW, in plain torch and double precision: two batches a step, nothing else."""

    def __init__(self, model, rate: float, *, interval: int) -> None:
        self.model, self.rate, self.interval = model, rate, interval
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.first = [torch.zeros_like(p) for p in self.weights]
        self.second = [torch.zeros_like(p) for p in self.weights]
        self.rates: list[float] = []

    def cross_entropy(self, rows) -> torch.Tensor:
        """Mean over the answer tokens of all rows, one row at a time."""
        total, count = 0.0, 0
        for row in rows:
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
            logits = self.model(input_ids=ids).logits[0, :-1]
            total = total + functional.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum")
            count += int((labels[1:] != -100).sum())
        return total / count

    def gradient(self, rows) -> list[torch.Tensor]:
        found = torch.autograd.grad(self.cross_entropy(rows), self.weights)
        length = math.sqrt(sum(float((g**2).sum()) for g in found))
        return [g / length for g in found]

    def step(self, number: int, retain, forget) -> None:
        g = [r - f for r, f in zip(self.gradient(retain), self.gradient(forget), strict=True)]
        direction = []
        for i, one in enumerate(g):
            self.first[i] = 0.9 * self.first[i] + 0.1 * one
            self.second[i] = 0.999 * self.second[i] + 0.001 * one**2
            root = (self.second[i] / (1 - 0.999**number)).sqrt() + 1e-8
            direction.append(self.first[i] / (1 - 0.9**number) / root)
        with torch.no_grad():
            if number % self.interval == 0:
                behind, here, ahead = (self.at(x * self.rate, direction, retain) for x in (-1, 0, 1))
                b = (behind - ahead) / (2 * self.rate)
                h = (ahead - 2 * here + behind) / self.rate**2
                if b > 0 and h > 0:
                    self.rate = b / h
            self.move(self.rate, direction)
        self.rates.append(self.rate)

    def move(self, distance: float, direction) -> None:
        for p, d in zip(self.weights, direction, strict=True):
            p -= distance * d

    def at(self, distance: float, direction, rows) -> float:
        """Retain loss at a distance along the direction."""
        kept = [p.clone() for p in self.weights]
        self.move(distance, direction)
        loss = float(self.cross_entropy(rows))
        for p, old in zip(self.weights, kept, strict=True):
            p.copy_(old)
        return loss


@pytest.mark.parametrize("start", ["auto:3e-3", "auto:1e-2"])
def test_paper_is_algorithm_1(make_trainer, tiny_model, start):
    """Up to where a random model asks for a step longer than its weights, which is never taken."""
    options = {"preset": "paper", "autolr_interval": 2, "learning_rate": start, "max_steps": 5}
    trainer = make_trainer(tiny_model().double(), **options, forget_ceiling="none", optim="adamw_torch")
    twin = AlgorithmOne(tiny_model().double(), float(start.removeprefix("auto:")), interval=2)
    pairs = []
    for epoch in range(2):
        trainer.sampler.set_epoch(epoch)
        pairs += list(trainer.sampler)
    trainer.train()
    size = trainer.args.per_device_train_batch_size
    for number, begin in enumerate(range(0, 5 * size, size), start=1):
        batch = pairs[begin : begin + size]
        twin.step(
            number,
            [trainer.retain_dataset[pair.retain] for pair in batch],
            [trainer.forget_dataset[pair.forget] for pair in batch if pair.forget is not None],
        )
    rates = [row["learning_rate"] for row in trainer.state.log_history if "loss_forget" in row]
    assert len(rates) == 5
    assert rates == pytest.approx(twin.rates, rel=1e-5)
    assert len(set(twin.rates)) > 1, "no probe found a rate: the test would say nothing of the parabola"
    for ours, theirs in zip(trainer.model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
