"""What a step's CPU time is made of, and how far it is from the time of its matrix products alone.

    NGDIFF_DATA=... python benchmarks/step_profile.py [--shapes 2M] [--sides joint ngdiff] [--steps 10] [--batch 8]

Runs of each side, as in `step.py`, over the same batches: one that notes down every matrix product with the layout of
its operands; one under torch's profiler, which gives the shares (each operator without those that it calls); and three
that are timed, each followed by the products alone, forward, backward and of the probe, into memory that is there
already. The ratio says how much a step could gain if all else took no time; attention's own products are not counted.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from step import SHAPES, SIDES, encode_tofu, train
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import TrainerCallback

# Kind of operator -> beginnings of names, without `aten::`; the first that fits. Anything else is element-wise.
KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "attention": ("_scaled_dot_product", "_flash_attention"),
    "soft-max over the vocabulary": ("_log_softmax", "nll_loss", "cross_entropy"),
    "optimizer": ("_fused_adam",),
    "Gramian": ("dot",),
    "filling with zeros": ("zero", "fill_", "new_zeros"),
    "indexing": ("index", "embedding", "nonzero", "gather", "slice_backward", "select_backward"),
    "copies": ("copy_", "clone", "cat", "contiguous", "_to_copy"),
}
PRODUCTS = {torch.ops.aten.mm.default: torch.mm, torch.ops.aten.bmm.default: torch.bmm}

Layout = tuple[tuple[int, ...], tuple[int, ...]]  # sizes, strides
Product = tuple[Callable[..., Any], Layout, Layout]


class Window(TrainerCallback):
    """Something open during all steps but the first."""

    def __init__(self, inside: Any, steps: int) -> None:
        self.inside, self.steps = inside, steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Opened before the second step."""
        if state.global_step == 1:
            self.inside.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closed after the last."""
        if state.global_step == 1 + self.steps:
            self.inside.__exit__(None, None, None)


class NotedProducts(TorchDispatchMode):
    """Notes down the layouts of all matrix products, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            a, b = ((tuple(x.shape), tuple(x.stride())) for x in args)
            self.products.append((PRODUCTS[func], a, b))
        elif func is torch.ops.aten.addmm.default:  # a layer with a bias; the sum is not counted
            a, b = ((tuple(x.shape), tuple(x.stride())) for x in args[1:])
            self.products.append((torch.mm, a, b))
        return func(*args, **(kwargs or {}))


def seconds_of(products: list[Product], rounds: int = 3) -> float:
    """CPU seconds of the products alone, median of a few rounds."""
    tensors: dict[tuple[int, Layout], torch.Tensor] = {}
    results: dict[Product, torch.Tensor] = {}
    calls = []
    for product in products:
        function, *layouts = product
        for place in enumerate(layouts):
            if place not in tensors:
                tensors[place] = torch.empty_strided(*place[1]).normal_()
        a, b = (tensors[place] for place in enumerate(layouts))
        if product not in results:
            results[product] = function(a, b)
        calls.append((function, a, b, results[product]))
    spent = []
    for _ in range(rounds):
        start = time.thread_time()
        for function, a, b, result in calls:
            function(a, b, out=result)
        spent.append(time.thread_time() - start)
    return statistics.median(spent)


def kind_of(operator: str) -> str | None:
    """Row of the table; None for what is no operator, such as a node of the graph."""
    if not operator.startswith("aten::"):
        return None
    name = operator.removeprefix("aten::")
    return next((kind for kind, names in KINDS.items() if name.startswith(names)), "element-wise and the rest")


def shares(profiled: profile) -> dict[str, float]:
    """Part of each kind in the time of all operators, and of the nodes of the graph around them."""
    spent: dict[str, float] = dict.fromkeys(KINDS, 0.0)
    for event in profiled.key_averages():
        kind = kind_of(event.key) or "graph, hooks, Python callbacks"
        spent[kind] = spent.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: part / total for kind, part in spent.items()}


def examine(side: str, body: dict[str, int], steps: int, **options: Any) -> dict[str, float]:
    """Shares of all kinds of operators, `ratio` of a step to its products alone, and `products` a step."""

    def run(inside: Any) -> float:
        found = train(
            side, body, steps=steps, watch=lambda trainer: trainer.add_callback(Window(inside, steps)), **options
        )
        return found["cpu"] * steps

    noted, profiled = NotedProducts(), profile(activities=[ProfilerActivity.CPU])
    run(noted)
    run(profiled)
    # One after the other, so that other work on the machine slows both alike.
    ratios = [run(nullcontext()) / seconds_of(noted.products) for _ in range(3)]
    return {"ratio": statistics.median(ratios), "products": len(noted.products) / steps, **shares(profiled)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["2M"], choices=SHAPES)
    parser.add_argument("--sides", nargs="+", default=["joint", "ngdiff"], choices=SIDES)
    parser.add_argument("--steps", type=int, default=10, help="steps of a run after the first, a multiple of 10")
    parser.add_argument("--batch", type=int, default=8, help="rows of each side")
    arguments = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/full.json")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = encode_tofu(Path(folder))
        for shape in arguments.shapes:
            rows = torch.load(files[shape], weights_only=True)
            found = {
                side: examine(side, SHAPES[shape], arguments.steps, batch=arguments.batch, seed=0, rows=rows)
                for side in arguments.sides
            }
            print_table(shape, found)


def print_table(shape: str, found: dict[str, dict[str, float]]) -> None:
    """One column for each side."""
    print(f"\n| {shape} | {' | '.join(found)} |")
    print("|---" * (len(found) + 1) + "|")
    kinds = [kind for kind in next(iter(found.values())) if kind not in ("ratio", "products")]
    for kind in sorted(kinds, key=lambda kind: -max(one.get(kind, 0.0) for one in found.values())):
        print(f"| {kind} | {' | '.join(f'{one.get(kind, 0.0):.1%}' for one in found.values())} |")
    ratios, products = ([one[key] for one in found.values()] for key in ("ratio", "products"))
    print(f"| step / its matrix products alone | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    print(f"| products a step | {' | '.join(f'{count:.0f}' for count in products)} |", flush=True)


if __name__ == "__main__":
    main()
