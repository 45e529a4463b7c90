"""What a large vocabulary costs outside of its matrix products, in one backward pass on a CPU.

    python benchmarks/vocabulary.py [--tokens 400] [--words 8192 50000] [--rounds 7]

Three tables, each a ratio of CPU seconds, one thread, fp32, 512 columns. Token losses of an output head, forward and
backward, over the three matrix products alone: torch's cross-entropy, `ngdiff.speed.token_loss` without and with
memory that is used again (`reused_head`), and torch's `linear_cross_entropy` where this version has it. The gradients
of an input embedding for both sides of a step, from the two backward passes to the sum that the optimizer gets: as
rows, over whole ones. And what is done to two gradients that are there already: inner products and weighted sum, over
the plain way of the inner products.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear

from ngdiff.core import combine, gramian
from ngdiff.core.sparse_rows import DenseBuffers, on_common_rows
from ngdiff.speed.cpu.reused_head import ReusedHead
from ngdiff.speed.token_loss import cross_entropy_in_place

WIDTH = 512
Work = Callable[[], object]


def seconds(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each; all take turns, after one round that is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            start = time.thread_time()
            work()
            if round_:
                spent[name].append(time.thread_time() - start)
    return {name: statistics.median(times) for name, times in spent.items()}


def losses(tokens: int, words: int) -> dict[str, Work]:
    """Ways from hidden states to the gradients of their losses."""
    hidden = torch.randn(tokens, WIDTH, requires_grad=True)
    weight = torch.randn(words, WIDTH).div_(10).requires_grad_()
    labels = torch.randint(words, (tokens,))
    reused = ReusedHead()

    def backward(loss: Callable[[], Tensor]) -> Work:
        def work() -> None:
            hidden.grad = weight.grad = None
            loss().sum().backward()

        return work

    @torch.no_grad()
    def products() -> None:
        logits = hidden @ weight.T
        _ = logits @ weight, logits.T @ hidden

    works = {
        "matrix products": products,
        "cross_entropy": backward(lambda: cross_entropy(linear(hidden, weight), labels, reduction="none")),
        "cross_entropy_in_place": backward(lambda: cross_entropy_in_place(linear(hidden, weight), labels)),
        "reused memory": backward(lambda: reused(hidden, weight, labels, None, None)),
    }
    if hasattr(nn, "LinearCrossEntropyOptions"):
        options = nn.LinearCrossEntropyOptions()  # in chunks, which is what saves memory
        fused = nn.functional.linear_cross_entropy
        works["linear_cross_entropy"] = backward(
            lambda: fused(hidden, weight, labels, reduction="sum", options=options)
        )
    return works


def embeddings(tokens: int, words: int) -> dict[str, Work]:
    """Ways from two backward passes to the sum of their gradients."""
    weight = torch.randn(words, WIDTH, requires_grad=True)
    batches = [torch.randint(words, (tokens,)) for _ in range(2)]
    upstream = torch.randn(tokens, WIDTH)
    whole = DenseBuffers([weight])

    def of_passes(*, sparse: bool) -> list[Tensor]:
        found: list[Tensor] = []
        for batch in batches:
            weight.grad = None
            embedding(batch, weight, sparse=sparse).backward(upstream)
            assert weight.grad is not None
            found.append(weight.grad.coalesce() if sparse else weight.grad)
        return found

    def as_rows() -> Tensor:
        rows, r, f = on_common_rows(*of_passes(sparse=True))
        gramian([r], [f])
        (total,) = combine([r], [f], 0.5, -0.5)
        assert rows is not None
        assert total is not None
        return whole.scatter(0, rows, total)

    def as_a_whole() -> Tensor | None:
        r, f = of_passes(sparse=False)
        gramian([r], [f])
        return combine([r], [f], 0.5, -0.5)[0]

    return {"whole": as_a_whole, "rows": as_rows}


def gradients(tokens: int, words: int) -> dict[str, Work]:
    """Inner products and weighted sum of two gradients of a matrix with as many rows as there are words."""
    r, f = torch.randn(words, WIDTH), torch.randn(words, WIDTH)
    flat_r, flat_f = r.view(-1), f.view(-1)
    return {
        "three dots": lambda: (torch.dot(flat_r, flat_r), torch.dot(flat_f, flat_f), torch.dot(flat_r, flat_f)),
        "gramian": lambda: gramian([r], [f]),
        "mul_ and add_": lambda: r.mul_(0.999).add_(f, alpha=1e-9),
        "combine": lambda: combine([r], [f], 0.999, 1e-9),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--words", type=int, nargs="+", default=[8192, 50_000])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tables = {"token losses": losses, "gradients of the embedding": embeddings, "two gradients": gradients}
    for title, ways in tables.items():
        for words in arguments.words:
            found = seconds(ways(arguments.tokens, words), arguments.rounds)
            first = next(iter(found))
            print(f"{title}, {words} words, over {first}:", end=" ")
            print(", ".join(f"{name} {spent / found[first]:.2f}" for name, spent in found.items()), flush=True)


if __name__ == "__main__":
    main()
