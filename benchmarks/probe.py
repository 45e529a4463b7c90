"""Where the time of AutoLR's probes goes, part by part, for `ngdiff` and for Algorithm 1 as printed.

    NGDIFF_DATA=... python benchmarks/probe.py [--shapes 2M] [--sides ...] [--steps 100] [--rounds 3]

Runs as in `step.py`, one side after the other, one thread. Prints a line for every probe: its parabolas, and what its
parts cost, in per cent of a mean step without its probe; the first probe of a run also checks that the optimizer's step
is linear, which shows in the opening of its line. Below, what probes add to the steps from the second on, and how much
of it is that check: a run has one, whatever its length.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from step import SHAPES, encode_tofu, train
from step import SIDES as ALL_SIDES
from transformers import Trainer, TrainerCallback

from ngdiff.core import LeanStepLine, StepLine, autolr
from ngdiff.training import UnlearnTrainer

SIDES = ("ngdiff", "ngdiff, Algorithm 1 as printed")
PARTS = ("losses", "opening the line", "moves", "closing it", "rest")
Line = TypeVar("Line", bound=StepLine)


class Clock:
    """CPU seconds of this thread by part; a part that runs within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted for a part."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - start
                self.spent[part] += spent - self._inner.pop()
                self._inner[-1] += spent

        return timed


def timed_line(kind: type[Line], clock: Clock) -> type[Line]:
    """A kind of line with the clock around what it does."""

    class Timed(kind):  # type: ignore[misc, valid-type]
        def __enter__(self) -> StepLine:
            return clock.around("opening the line", super().__enter__)()

        def __exit__(self, *error: Any) -> None:
            clock.around("closing it", super().__exit__)(*error)

        def move_to(self, rho: float) -> None:
            clock.around("moves", super().move_to)(rho)

    return Timed


class Steps(TrainerCallback):
    """CPU seconds of each step, and of the parts of a probe in it."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.mark = clock, 0.0
        self.steps: list[dict[str, float]] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here."""
        self.clock.spent.clear()
        self.mark = time.thread_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """To here."""
        self.steps.append({"whole": time.thread_time() - self.mark, **self.clock.spent})


def timed_run(side: str, body: dict[str, int], **options: Any) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """One run; the parts of each step, and what the probes saw."""
    clock = Clock()
    autolr.StepLine = timed_line(StepLine, clock)  # type: ignore[misc]
    autolr.LeanStepLine = timed_line(LeanStepLine, clock)  # type: ignore[misc]
    steps = Steps(clock)
    trainers: list[UnlearnTrainer] = []

    def watch(trainer: Trainer) -> None:
        assert isinstance(trainer, UnlearnTrainer)
        trainer.retain_loss = clock.around("losses", trainer.retain_loss)  # type: ignore[method-assign]
        trainer.choose_learning_rate = clock.around("rest", trainer.choose_learning_rate)  # type: ignore[method-assign]
        trainer.add_callback(steps)
        trainers.append(trainer)

    train(side, body, watch=watch, **options)
    return steps.steps, trainers[0].run_state.probes  # `train` makes the state anew


def print_probes(steps: list[dict[str, float]], probes: list[dict[str, Any]]) -> dict[str, float]:
    """A line for each probe; returns what probes add to the steps from the second on, with and without their check."""
    at = {probe["step"]: probe for probe in probes}
    spent = {number: sum(steps[number - 1].get(part, 0.0) for part in PARTS) for number in at}
    unit = statistics.mean(step["whole"] - spent.get(number, 0.0) for number, step in enumerate(steps, 1) if number > 1)
    print(f"| probe at step | fits | losses taken | {' | '.join(PARTS)} | all |")
    print("|---" * (len(PARTS) + 4) + "|")
    for number, probe in at.items():
        parts = " | ".join(f"{steps[number - 1].get(part, 0.0) / unit:.1%}" for part in PARTS)
        print(f"| {number} | {len(probe['fits'])} | {probe['forwards']} | {parts} | {spent[number] / unit:.1%} |")
    later = [number for number in at if number > 1]
    opening = {number: steps[number - 1].get("opening the line", 0.0) for number in later}
    # Without a search the first probe of the run is among them, and with it the check.
    check = max(0.0, opening[later[0]] - statistics.median(opening.values())) if 1 not in at else 0.0
    added = sum(spent[number] for number in later) / unit / (len(steps) - 1)
    return {"added": added, "check": check / unit / (len(steps) - 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["2M"], choices=SHAPES)
    parser.add_argument(
        "--sides", nargs="+", default=list(SIDES), choices=[side for side, options in ALL_SIDES.items() if options]
    )
    parser.add_argument("--steps", type=int, default=100, help="steps of a run after the first")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, with seeds of their own")
    parser.add_argument("--batch", type=int, default=8, help="rows of each side")
    arguments = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/full.json")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = encode_tofu(Path(folder))
        for shape in arguments.shapes:
            rows = torch.load(files[shape], weights_only=True)
            for side in arguments.sides:
                added = []
                for seed in range(arguments.rounds):
                    print(f"\n{shape}, {side}, seed {seed}")
                    run = timed_run(
                        side, SHAPES[shape], steps=arguments.steps, batch=arguments.batch, seed=seed, rows=rows
                    )
                    added.append(print_probes(*run))
                    print(f"probes add {added[-1]['added']:.2%}, {added[-1]['check']:.2%} of it for the check")
                median = {key: statistics.median(one[key] for one in added) for key in added[0]}
                print(f"\n{shape}, {side}: probes add {median['added']:.2%} (check {median['check']:.2%}), median")


if __name__ == "__main__":
    main()
