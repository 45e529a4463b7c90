"""Step time, use of the device and peak memory of whole models on one device, against the estimate of `--dry-run`.

    NGDIFF_DATA=... python benchmarks/gpu.py                                    # one GPU: Phi-1.5 and Llama-2-7B
    NGDIFF_DATA=... python benchmarks/gpu.py --device cpu --shapes llama-micro --steps 3

Real TOFU rows (forget10, retain90), random weights, the published vocabulary, rows encoded by a tokenizer of 8192
tokens trained on TOFU. Each case is a process of its own. Utilisation is the operations of a mean step, as the estimate
counts them, over its time and over the speed of one matrix product of the same type, measured in the same process; the
aim is one half. Peak memory is that of the device's allocator, and the estimate should be within a tenth of it. On CPU,
times are those of the processor, on one thread, and the peak is that of the process above what it held before.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from step import MeasuredTrainer
from transformers import AutoModelForCausalLM, TrainerCallback

from ngdiff.data import Row
from ngdiff.estimate import describe, estimate
from ngdiff.modeling import SHAPES, read_shape, train_tokenizer
from ngdiff.training import UnlearnConfig


@dataclass(frozen=True)
class Variant:
    """How a model is trained.

    Args:
        dtype: Of the weights.
        options: Of `UnlearnConfig`.
        lora_rank: Of an adapter; 0: all weights.
    """

    dtype: str
    options: dict[str, Any] = field(default_factory=dict)
    lora_rank: int = 0


VARIANTS = {
    "float32": Variant("float32"),
    "bfloat16": Variant("bfloat16"),
    "float32 masters": Variant("float32", {"bf16": True}),
    # Seven billion weights on a card of 80 GB: five times two bytes for each (itself, two gradients, Adam's two).
    "one card": Variant(
        "bfloat16", {"activation_checkpointing": True, "stash_dtype": "bfloat16", "autolr_memory": "lean"}
    ),
    "LoRA": Variant("bfloat16", lora_rank=16),
}
CASES = [
    *(("phi-1.5", variant) for variant in ("bfloat16", "float32 masters")),
    *(("llama-2-7b", variant) for variant in ("one card", "LoRA")),
]


class Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self, device: str) -> None:
        self.device, self.began = device, 0.0
        self.seconds: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The step starts."""
        self.began = self._now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """It has ended."""
        self.seconds.append(self._now() - self.began)

    def _now(self) -> float:
        if self.device == "cpu":
            return time.process_time()  # one thread: what else runs on the machine does not count
        torch.cuda.synchronize()
        return time.perf_counter()


def tofu() -> dict[str, list[Row]]:
    """Rows of both sets."""
    folder = Path(os.environ["NGDIFF_DATA"], "tofu")
    lines = {
        side: (folder / f"{name}.json").read_text(encoding="utf-8").splitlines()
        for side, name in (("forget", "forget10"), ("retain", "retain90"))
    }
    return {
        side: [Row(row["question"], row["answer"]) for row in map(json.loads, rows)] for side, rows in lines.items()
    }


def build(shape: str, variant: Variant, words: int, device: str) -> Any:
    """A model with random weights on the device."""
    config = read_shape(shape)
    config.vocab_size = words if shape in SHAPES else max(config.vocab_size, words)
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, variant.dtype))


def measure(shape: str, variant: Variant, *, device: str, batch: int, steps: int) -> dict[str, float]:
    """One case, in this process."""
    rows = tofu()
    texts = (text for side in rows.values() for row in side for text in (row.prompt, row.answer))
    tokenizer = train_tokenizer(texts, 8192)
    adapter = None
    if variant.lora_rank:
        adapter = LoraConfig(r=variant.lora_rank, lora_alpha=2 * variant.lora_rank, target_modules="all-linear")
    clock = Clock(device)
    with tempfile.TemporaryDirectory() as folder:
        config = UnlearnConfig(
            output_dir=folder,
            use_cpu=device == "cpu",
            per_device_train_batch_size=batch,
            max_steps=steps,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            template="plain",
            **variant.options,
        )
        found = estimate(
            shape, config, rows["forget"], rows["retain"], tokenizer=tokenizer, dtype=variant.dtype, peft_config=adapter
        )
        sys.stderr.write(describe(found))
        gc.collect()
        before = resident("VmRSS") if device == "cpu" else 0
        trainer = MeasuredTrainer(
            build(shape, variant, len(tokenizer), device),
            config,
            rows["forget"],
            rows["retain"],
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[clock],
        )
        if device == "cpu":
            Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak of what came before
        else:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    peak = resident("VmHWM") - before if device == "cpu" else torch.cuda.max_memory_allocated()
    # The first step searches for the learning rate, every tenth probes it.
    plain = [seconds for step, seconds in enumerate(clock.seconds, start=1) if step > 1 and step % 10]
    seconds = statistics.median(plain)
    return {
        "seconds": seconds,
        "first": clock.seconds[0],
        "utilisation": found.step_operations / seconds / found.speed,
        "speed": found.speed,
        "peak": float(peak),
        "estimate": float(found.peak.total),
    }


def resident(what: str) -> int:
    """A figure of /proc/self/status in bytes."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(what))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--shapes", nargs="+", help="names of shapes or config.json files (phi-1.5 and llama-2-7b)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, help="with --shapes")
    parser.add_argument("--batch", type=int, default=8, help="rows of each side")
    parser.add_argument("--steps", type=int, default=9, help="steps of a run; the first one is reported apart")
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --device cpu --shapes llama-micro runs the same on the processor")
    if arguments.steps < 2:
        raise SystemExit("--steps must be at least 2: the first one is reported apart")
    if arguments.one:
        shape, variant = arguments.one
        found = measure(shape, VARIANTS[variant], device=arguments.device, batch=arguments.batch, steps=arguments.steps)
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return
    cases = CASES if arguments.shapes is None else [(s, v) for s in arguments.shapes for v in arguments.variants]
    print(
        "| shape | variant | s a step | first step | of the product's speed | peak, GiB | estimated | off by |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for shape, variant in cases:
        options = ["--device", arguments.device, "--batch", str(arguments.batch), "--steps", str(arguments.steps)]
        print_row(shape, variant, run([*options, "--one", shape, variant]))


def run(words: list[str]) -> dict[str, float]:
    """One process. On CPU, blocks of 64 KiB and more go back to the system when they are freed."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "MALLOC_MMAP_THRESHOLD_": "65536"}
    if "cpu" in words:
        environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [sys.executable, __file__, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def print_row(shape: str, variant: str, found: dict[str, float]) -> None:
    """One case."""
    gib = 2**30
    columns = [
        Path(shape).stem,
        variant,
        f"{found['seconds']:.3f}",
        f"{found['first']:.2f}",
        f"{found['utilisation']:.0%} of {found['speed']:.3g}",
        f"{found['peak'] / gib:.3f}",
        f"{found['estimate'] / gib:.3f}",
        f"{found['estimate'] / found['peak'] - 1:+.1%}",
    ]
    print(f"| {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
