"""A step by itself, without a trainer: what it reports, and what it leaves in `.grad`."""

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from ngdiff.core import Answers
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
from ngdiff.training.compared import Compared
from ngdiff.training.gradients import OneBuffer, TwoBuffers
from ngdiff.training.moments import unobserved
from ngdiff.training.objective_pass import ObjectivePass
from ngdiff.training.step import TwoGradientStep
from ngdiff.training.weighing import Weigher
from ngdiff.weighting import WEIGHTINGS


def forward(model, batch, needs=frozenset(), layer=None) -> Answers:
    """One label a row, of a linear classifier."""
    logits = model(batch["x"])
    nll = nn.functional.cross_entropy(logits, batch["labels"], reduction="none")
    return Answers(nll, torch.arange(len(nll)), rows=len(nll), labels=batch["labels"])


class Run:
    """Steps of a linear classifier; `passes` are those that were taken."""

    def __init__(self, kind: Any = TwoBuffers, *, ceiling: float | None = None, weighting: str = "ngdiff") -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 3).double()
        objectives = {"retain": RETAIN_OBJECTIVES["ce"], "forget": FORGET_OBJECTIVES["ce"]}
        task: Any = SimpleNamespace(forward=forward)
        passes = ObjectivePass(
            task, objectives, Compared(), model=self.model, processes=1, autocast=contextlib.nullcontext
        )
        weigher = Weigher(WEIGHTINGS[weighting], objectives, 0, ceiling=ceiling, knows_cosine=kind is TwoBuffers)
        self.summed: list[torch.Tensor] = []
        self.step = TwoGradientStep(
            passes,
            kind(self.model.parameters(), **({"rule": rule} if (rule := weigher.weighting.entries) else {})),
            weigher,
            state={},
            global_sum=lambda value: self.summed.append(value) or value,
            observe=unobserved,
        )
        g = torch.Generator().manual_seed(1)
        self.batches = [
            {
                side: {"x": torch.randn(n, 4, generator=g).double(), "labels": torch.randint(3, (n,), generator=g)}
                for side, n in (("retain", 3), ("forget", 2))
            }
            for _ in range(2)
        ]

    def take(self, number: int = 1, *, asked_to_stop: bool = False) -> Any:
        """A step of two micro-batches."""
        counts = {"retain": torch.tensor(6), "forget": torch.tensor(4)}
        counts |= {f"{side}_tokens": count for side, count in counts.items()}

        def run(side: Any, batch: Any, factor: float) -> None:
            self.step.loss(self.model, batch, side, factor, counts).backward()

        self.model.zero_grad()
        for batches in self.batches:
            self.step.add(batches, run)
        return self.step.finish(run, number=number, asked_to_stop=asked_to_stop)

    def gradient(self, side: str, sign: float) -> tuple[float, torch.Tensor]:
        """Mean loss of all rows of a side, and the gradient of `sign` times it: plain autograd."""
        x, labels = (torch.cat([batches[side][key] for batches in self.batches]) for key in ("x", "labels"))
        loss = nn.functional.cross_entropy(self.model(x), labels)
        found = torch.autograd.grad(sign * loss, list(self.model.parameters()))
        return loss.item(), torch.cat([g.flatten() for g in found])

    @property
    def combined(self) -> torch.Tensor:
        """What is in `.grad`."""
        return torch.cat([p.grad.flatten() for p in self.model.parameters()])


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
def test_a_step_is_that_of_plain_autograd(kind):
    run = Run(kind)
    (loss_r, g_r), (loss_f, g_f) = run.gradient("retain", 1.0), run.gradient("forget", -1.0)
    report = run.take()
    torch.testing.assert_close(run.combined, g_r / g_r.norm() + g_f / g_f.norm(), rtol=1e-6, atol=1e-9)
    figures = report.figures
    assert report.retain_loss == figures["objective_retain"] == pytest.approx(loss_r, rel=1e-6)
    assert figures["loss_forget"] == -figures["objective_forget"] == pytest.approx(loss_f, rel=1e-6)
    assert figures["norm_retain"] == pytest.approx(float(g_r.norm()), rel=1e-6)
    assert figures["norm_forget"] == pytest.approx(float(g_f.norm()), rel=1e-6)
    if kind is TwoBuffers:
        assert report.combined_norm == pytest.approx(float(run.combined.norm()), rel=1e-6)
    else:
        assert report.combined_norm is None  # the inner product of the two was never taken
    assert (report.number, report.idle, report.asked_to_stop) == (1, "", 0.0)


@pytest.mark.parametrize("weighting", ["sago", "sago-sum"])
def test_a_step_by_entries_is_that_of_plain_autograd(weighting):
    run = Run(weighting=weighting)
    (_, g_r), (_, g_f) = run.gradient("retain", 1.0), run.gradient("forget", -1.0)
    report = run.take()
    opposite = g_r * g_f < 0
    expected = torch.where(opposite, g_r, g_f if weighting == "sago" else g_r + g_f)
    torch.testing.assert_close(run.combined, expected, rtol=1e-6, atol=1e-12)
    forget = 1 - float(opposite.double().mean())
    assert 0 < forget < 1
    assert report.figures["entries_forget"] == pytest.approx(forget)
    assert report.figures["entries_retain"] == pytest.approx(1 - forget if weighting == "sago" else 1.0)
    cosine = float(g_r @ g_f / g_r.norm() / g_f.norm())
    assert report.figures["cosine"] == pytest.approx(-cosine, rel=1e-6)
    assert report.combined_norm is None  # not known from inner products


def test_at_the_ceiling_all_entries_are_those_of_the_retain_gradient():
    run = Run(ceiling=0.0, weighting="sago")
    report = run.take()
    torch.testing.assert_close(run.combined, run.gradient("retain", 1.0)[1], rtol=1e-6, atol=1e-12)
    assert (report.figures["entries_retain"], report.figures["entries_forget"]) == (1.0, 0.0)


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
def test_steps_do_not_know_of_each_other(kind):
    run = Run(kind)
    first, gradient = run.take(), run.combined
    second = run.take()
    assert first == second
    assert torch.equal(gradient, run.combined)


def test_a_request_to_stop_travels_with_the_losses():
    run = Run()
    assert run.take(asked_to_stop=True).asked_to_stop == 1.0
    assert len(run.summed) == 1, "one sum over processes a step"
    assert run.summed[0].shape == (5,)
    run.step._global_sum = lambda value: 3 * value  # of three processes
    assert run.take(asked_to_stop=True).asked_to_stop == 3.0


def test_why_nothing_moves():
    run = Run(ceiling=0.0, weighting="ga")
    report = run.take()
    assert "is at the ceiling of 0.00" in report.idle
    assert [p.grad for p in run.model.parameters()] == [None, None]
    assert report.combined_norm == 0.0


def test_a_loss_that_is_no_number_names_the_step():
    run = Run()
    run.batches[1]["forget"]["x"][0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="step 7: the loss of the forget set is nan"):
        run.take(7)
