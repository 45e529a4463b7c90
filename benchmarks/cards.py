"""Which way of training fits which card: peaks of dry runs for models of 1, 3 and 8 billion weights.

    NGDIFF_DATA=... python benchmarks/cards.py [--shapes llama-3.2-1b] [--batch 8]

Nothing is trained, and no card is needed: figures are those of `ngdiff unlearn --dry-run` (`ngdiff.estimate`), for
padded rows, as on a GPU. Real TOFU rows (forget10, retain90) in tokens of a tokenizer of 8192 tokens, the published
vocabulary, AdamW, activation checkpointing. Adapters have rank 16 on all linear layers. For weights in 4 bits, which
the dry run does not know, the weights of the base's linear layers are counted at 4.5 bits each (NF4 with a float32
scale for 64 of them) in place of 16, and the largest of them once more in bfloat16, in which a product takes it. A card
is filled by nine tenths at most: the rest is for what allocator and kernels hold. Memory of the host is left out.
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from typing import Any

from gpu import tofu
from peft import LoraConfig
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ngdiff.estimate import Estimate, estimate
from ngdiff.estimate.fake_model import fake_model
from ngdiff.modeling import train_tokenizer
from ngdiff.training import UnlearnConfig

SHAPES = ("llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b")
CARDS, FILLED = (24, 40, 80), 0.9  # GB, as cards are sold
GB = 1e9
FOUR_BITS, WIDE_BITS = 4.5, 16


@dataclass(frozen=True)
class Way:
    """How a model is trained.

    Args:
        words: As on the command line.
        dtype: Of the weights.
        lora_rank: Of an adapter; 0: all weights.
        options: Of `UnlearnConfig`.
    """

    words: str
    dtype: str
    lora_rank: int = 0
    options: dict[str, Any] = field(default_factory=dict)


WAYS = {
    "LoRA": Way("--dtype bfloat16 --lora-rank 16", "bfloat16", 16),
    "all weights in bfloat16": Way(
        "--dtype bfloat16 --autolr-memory lean", "bfloat16", options={"autolr_memory": "lean"}
    ),
    "one buffer": Way(
        "--bf16 --gradient-buffers 1 --learning-rate 1e-5",
        "float32",
        options={"bf16": True, "gradient_buffers": 1, "learning_rate": 1e-5},
    ),
    "bfloat16 stash": Way(
        "--bf16 --stash-dtype bfloat16", "float32", options={"bf16": True, "stash_dtype": "bfloat16"}
    ),
    "stash on the host": Way("--bf16 --stash-device cpu", "float32", options={"bf16": True, "stash_device": "cpu"}),
    "all weights": Way("--bf16", "float32", options={"bf16": True}),
}


def saved_by_four_bits(shape: str, tokenizer: Any) -> int:
    """Bytes less than in bfloat16, of the linear layers below the output head."""
    model = fake_model(shape, FakeTensorMode(), tokenizer=tokenizer, dtype="bfloat16")
    head = model.get_output_embeddings()
    sizes = [m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear) and m is not head]
    return int(sum(sizes) * (WIDE_BITS - FOUR_BITS) / 8 - max(sizes) * WIDE_BITS / 8)


def dry_run(shape: str, way: Way, rows: dict[str, Any], tokenizer: Any, batch: int) -> Estimate:
    """One case."""
    adapter = None
    if way.lora_rank:
        adapter = LoraConfig(
            r=way.lora_rank, lora_alpha=2 * way.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
    with tempfile.TemporaryDirectory() as folder:
        config = UnlearnConfig(
            output_dir=folder,
            use_cpu=True,
            packing="off",
            per_device_train_batch_size=batch,
            max_steps=50,
            template="plain",
            activation_checkpointing=True,
            **way.options,
        )
        return estimate(
            shape, config, rows["forget"], rows["retain"], tokenizer=tokenizer, dtype=way.dtype, peft_config=adapter
        )


def line(way: str, words: str, peaks: list[float]) -> str:
    """A row of the table: each peak in GB, and the smallest card that it fits."""
    cells = []
    for peak in peaks:
        card = next((card for card in CARDS if peak <= FILLED * card * GB), None)
        cells.append(f"{peak / GB:.1f} ({'none' if card is None else card})")
    return f"| {way}: `{words}` | {' | '.join(cells)} |"


def main() -> None:
    """Estimate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help=f"of models ({' '.join(SHAPES)})")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--batch", type=int, default=8, help="rows of each side (8)")
    arguments = parser.parse_args()
    rows = tofu()
    texts = (text for side in rows.values() for row in side for text in (row.prompt, row.answer))
    tokenizer = train_tokenizer(texts, 8192)
    print(f"peak in GB (smallest of the cards of {', '.join(map(str, CARDS))} GB that it fits)\n")
    print(f"| way | {' | '.join(arguments.shapes)} |\n|---|{'---|' * len(arguments.shapes)}")
    for name in arguments.ways:
        way = WAYS[name]
        found = [dry_run(shape, way, rows, tokenizer, arguments.batch) for shape in arguments.shapes]
        peaks = [float(one.peak.total) for one in found]
        if name == "LoRA":
            saved = [saved_by_four_bits(shape, tokenizer) for shape in arguments.shapes]
            less = [peak - one for peak, one in zip(peaks, saved, strict=True)]
            print(line("LoRA on 4 bits (reckoned, not run)", "a 4-bit base", less), flush=True)
        print(line(name, way.words, peaks), flush=True)


if __name__ == "__main__":
    main()
