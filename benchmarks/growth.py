"""How a step grows with batch, length, vocabulary, depth: CPU seconds and memory of `ngdiff` and of the joint loss.

    python benchmarks/growth.py --output DIR [--axes batch length vocabulary depth] [--rounds 2] [--steps 10]

One quantity at a time changes around a Llama of 2 M parameters with 8 rows of 64 tokens on each side. Rows are random
tokens, all of one length, the last two fifths of which are learned: nothing is padded, and both sides compute the same
rows. Both are measured as in `step.py`: in turns after every step of one process, memory in processes of one side.

Two fits for each curve, both least squares of relative errors: the exponent of a power of x, and `a + b x`, of which
`a`'s share at the base point says how much does not grow. Writes `growth.json`, `growth.md` and `growth.png`.
"""

import argparse
import gc
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import FuncFormatter, NullFormatter
from step import SHAPES, measure, run

from ngdiff.report.style import INK, PALETTE, SIZE, new_figure

SIDES = ("joint", "ngdiff")
BASE = {"batch": 8, "length": 64, "vocabulary": 4096, "depth": 4}
AXES = {
    "batch": (2, 4, 8, 16, 32),
    "length": (16, 32, 64, 128, 256),
    "vocabulary": (1024, 4096, 16384, 65536),
    "depth": (1, 2, 4, 8, 16),
}
UNITS = {"batch": "rows of each side", "length": "tokens a row", "vocabulary": "words", "depth": "layers"}
LEARNED = 0.4  # part of a row: as much as the answers are of a padded batch of TOFU rows
ROWS = 512  # of each side: an epoch is longer than a run

Point = dict[str, int]


def random_rows(count: int, length: int, vocabulary: int, seed: int) -> list[dict[str, list[int]]]:
    """Rows of random tokens, the last of which are learned."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(vocabulary, (count, length), generator=generator).tolist()
    prompt = length - round(LEARNED * length)
    return [{"input_ids": row, "labels": [-100] * prompt + row[prompt:]} for row in rows]


def measure_point(point: Point, sides: list[str], seed: int, steps: int) -> dict[str, dict[str, float]]:
    """One round at one point, in this process."""
    body = {**SHAPES["2M"], "vocab_size": point["vocabulary"], "num_hidden_layers": point["depth"]}
    count = max(ROWS, (steps + 2) * point["batch"])
    rows = {
        "forget": random_rows(count, point["length"], point["vocabulary"], 2 * seed),
        "retain": random_rows(count, point["length"], point["vocabulary"], 2 * seed + 1),
    }
    return measure(sides, body, steps=steps, batch=point["batch"], seed=seed, rows=rows)


def measure_all(axes: list[str], rounds: int, steps: int) -> list[dict[str, Any]]:
    """Every point once: medians of CPU seconds, memory of one run, in bytes above idle."""
    points: list[Point] = []
    for axis in axes:
        for x in AXES[axis]:
            if (point := {**BASE, axis: x}) not in points:
                points.append(point)
    words = ["--steps", str(steps), "--one", json.dumps(points)]
    several = []
    for seed in range(rounds):
        several.append(run([*words, str(seed), *SIDES], returns_memory=False, script=__file__))
        print(f"round {seed} of {rounds} measured", file=sys.stderr, flush=True)
    alone = {side: run([*words, "0", side], returns_memory=True, script=__file__) for side in SIDES}
    results = []
    for number, point in enumerate(points):
        result: dict[str, Any] = {"point": point}
        for side in SIDES:
            cpu = [one[number][side]["cpu"] for one in several]
            memory = alone[side][number][side]
            result[side] = {"cpu": statistics.median(cpu), "rounds": cpu, "memory": memory["memory"]}
        results.append(result)
    return results


def exponent(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def affine(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(a, b) of `a + b x`, with least squares of relative errors."""
    b, a = np.polyfit(x, y, 1, w=1 / y)
    return float(a), float(b)


def curve(found: list[dict[str, Any]], axis: str, side: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The points of one axis, sorted."""
    on_axis = [one for one in found if all(one["point"][k] == BASE[k] for k in BASE if k != axis)]
    pairs = sorted((one["point"][axis], one[side][what]) for one in on_axis)
    x, y = np.array(pairs, dtype=float).T
    return x, y


def table(found: list[dict[str, Any]], axes: list[str]) -> str:
    """Markdown: exponents, shares of the constant, and the ratio of the two sides from end to end."""
    lines = []
    for what, name in (("cpu", "CPU time of a step"), ("memory", "peak memory above idle")):
        lines += [
            f"\n{name}\n",
            "| against | exponent, joint | ngdiff | share of the constant, joint | ngdiff | ngdiff / joint |",
            "|---|---|---|---|---|---|",
        ]
        for axis in axes:
            curves = {side: curve(found, axis, side, what) for side in SIDES}
            exponents, shares = [], []
            for x, y in curves.values():
                a, b = affine(x, y)
                exponents.append(f"{exponent(x, y):.2f}")
                shares.append(f"{a / (a + b * BASE[axis]):.0%}")
            x = curves["joint"][0]
            ratios = ", ".join(f"{ours:.2f}" for ours in curves["ngdiff"][1] / curves["joint"][1])
            reach = ", ".join(f"{value:.0f}" for value in x)
            lines.append(f"| {axis}: {reach} | {' | '.join(exponents)} | {' | '.join(shares)} | {ratios} |")
    return "\n".join(lines) + "\n"


def plot(found: list[dict[str, Any]], axes: list[str], path: Path) -> None:
    """Both sides over each axis, relative to the joint loss at the base point."""
    figure = new_figure(2.9 * len(axes), 5.6)
    panels = figure.subplots(2, len(axes), sharex="col", sharey="row", squeeze=False)
    for row, (what, name) in enumerate((("cpu", "CPU time"), ("memory", "Peak memory"))):
        unit = next(one for one in found if one["point"] == BASE)["joint"][what]
        for column, axis in enumerate(axes):
            panel = panels[row][column]
            for side, colour in zip(SIDES, PALETTE, strict=False):
                x, y = curve(found, axis, side, what)
                label = {"joint": "joint loss", "ngdiff": "NGDiff"}[side] if row == column == 0 else None
                panel.plot(x, y / unit, color=colour, marker="o", markersize=4, linewidth=1.6, label=label)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log", base=2)
            panel.set_xticks(AXES[axis])
            for direction in (panel.xaxis, panel.yaxis):
                direction.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                direction.set_minor_formatter(NullFormatter())
            panel.grid(axis="y", color="#E4E4E4", linewidth=0.8)
            panel.set_axisbelow(True)
            panel.spines[["top", "right"]].set_visible(False)
            panel.tick_params(labelsize=SIZE - 2, labelcolor=INK)
            if row == 1:
                panel.set_xlabel(f"{axis}, {UNITS[axis]}", fontsize=SIZE - 1, color=INK)
        panels[row][0].set_ylabel(f"{name}, joint at base = 1", fontsize=SIZE - 1, color=INK)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=SIZE, labelcolor=INK)
    figure.savefig(path, format="png", dpi=100)


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder for growth.json, growth.md and growth.png")
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=AXES)
    parser.add_argument("--rounds", type=int, default=2, help="runs of each point, with seeds of their own")
    parser.add_argument("--steps", type=int, default=10, help="measured steps of a run, a multiple of 10")
    parser.add_argument("--read", type=Path, metavar="JSON", help="fit and plot an earlier growth.json again")
    parser.add_argument("--one", nargs="+", metavar="WORD", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        points, seed, *sides = arguments.one
        found = []
        for point in json.loads(points):
            found.append(measure_point(point, sides, int(seed), arguments.steps))
            gc.collect()  # a trainer and its model refer to each other
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return
    if arguments.output is None:
        parser.error("--output is missing: the folder for growth.json, growth.md and growth.png")
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.read:
        results = json.loads(arguments.read.read_text(encoding="utf-8"))
    else:
        results = measure_all(arguments.axes, arguments.rounds, arguments.steps)
        (arguments.output / "growth.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = table(results, arguments.axes)
    (arguments.output / "growth.md").write_text(text, encoding="utf-8")
    plot(results, arguments.axes, arguments.output / "growth.png")
    print(text)


if __name__ == "__main__":
    main()
