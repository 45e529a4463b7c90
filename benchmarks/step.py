"""What a step costs: CPU seconds and peak memory of `ngdiff` against the joint loss in a plain `transformers.Trainer`.

    NGDIFF_DATA=... python benchmarks/step.py [--shapes 2M 33M 33M-50k] [--sides ...] [--rounds 3] [--steps 10]
    NGDIFF_DATA=... python benchmarks/step.py --model SmolLM2 [--lora-rank 16] [--sides joint ngdiff]

Real TOFU rows, AdamW (fused), fp32, batch 8 of each side, one thread of computation. A round is one process, in which
the sides take turns after every single step, so that whatever else the machine does hits all of them alike. CPU seconds
are those of a side's own thread over whole periods of AutoLR (10 steps, one probe), after the first step, whose search
is reported apart. Rows are short in one step and long in the next: a side's figure is also given at the tokens (with
their padding, where rows are padded) of the mean step of its epoch, and bars are about that; so is the part that
probes add, whose few rows may be longer or shorter than most. Memory comes from processes of one side each: the peak
of the steps after the first, above what is resident before it (weights, the interpreter) and the optimizer's state.
Prints medians over the rounds, ratios, and whether each bar holds. `--model` takes a model with weights and tokenizer
in place of the shapes; with `--lora-rank` both sides train an adapter, and the reference model of the joint NPO is the
model without it.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from ngdiff.data import AnswerCollator, Row, encode_rows, resolve_template
from ngdiff.modeling import load_model, load_tokenizer, train_tokenizer
from ngdiff.tasks import TextTask
from ngdiff.training import UnlearnConfig, UnlearnTrainer

_BODY = {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8}
# Shape -> options of `LlamaConfig`. Rows are encoded with at most 8192 tokens, so that lengths are realistic; the
# third shape has a larger output matrix, as models of the hub have.
SHAPES: dict[str, dict[str, int]] = {
    "2M": {
        "vocab_size": 4096,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
    },
    "33M": {"vocab_size": 8192, **_BODY},
    "33M-50k": {"vocab_size": 50_000, **_BODY},
}
# Side -> options of `UnlearnConfig`; None: the plain Trainer.
SIDES: dict[str, dict[str, Any] | None] = {
    "joint": None,
    "ngdiff": {"method": "ngdiff"},
    "ngdiff, padded": {"method": "ngdiff", "packing": "off"},
    "ngdiff, cce": {"method": "ngdiff", "fused_loss": "cce"},
    "ngdiff, rows at random": {"method": "ngdiff", "train_sampling_strategy": "random"},
    "ngdiff, padded, rows at random": {"method": "ngdiff", "train_sampling_strategy": "random", "packing": "off"},
    "ngdiff, Algorithm 1 as printed": {
        "method": "ngdiff",
        "learning_rate": "auto:1e-3",
        "autolr_search": False,
        "autolr_batch": "same",
        "autolr_max_change": float("inf"),
        "autolr_inertia": 0.0,
    },
    "ngdiff, exact probe": {"method": "ngdiff", "autolr_memory": "exact"},
    "ngdiff, bf16 stash": {"method": "ngdiff", "stash_dtype": "bfloat16"},
    "ngdiff, one buffer": {"method": "ngdiff", "gradient_buffers": 1},
    "ngdiff, one buffer, fixed rate": {"method": "ngdiff", "gradient_buffers": 1, "learning_rate": 1e-4},
    "joint npo": None,
    "npo+ngdiff": {"method": "npo+ngdiff"},
}
# Measured only where they are named.
MEMORY = ("ngdiff, exact probe", "ngdiff, bf16 stash", "ngdiff, one buffer", "ngdiff, one buffer, fixed rate")
ON_DEMAND = (
    *MEMORY,
    "ngdiff, padded",
    "ngdiff, rows at random",
    "ngdiff, padded, rows at random",
    "ngdiff, cce",  # needs the extra
)
# (side, baseline, what, shape or None for all) -> largest ratio.
BARS = [
    ("ngdiff", "joint", "even", "2M", 0.70),
    ("ngdiff", "joint", "even", "33M", 0.78),
    ("npo+ngdiff", "joint npo", "even", None, 0.60),
    ("ngdiff", "joint", "memory", None, 0.75),
]
# The same of `--model`, with and without an adapter.
MODEL_BARS = [
    ("ngdiff", "joint", "even", None, 0.60),
    ("npo+ngdiff", "joint npo", "even", None, 0.50),
    ("ngdiff", "joint", "memory", None, 0.75),
]
Watch = Callable[[Trainer], None]


class JointTrainer(Trainer):
    """The baseline: `L_R - L_F` in one loss, one backward pass; NPO runs its reference model at each step."""

    reference: Any = None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Joint loss of one batch of pairs."""
        forget, retain = inputs["forget"], inputs["retain"]
        kept = model(**retain).loss
        if self.reference is None:
            return kept - model(**forget).loss
        without = model.disable_adapter() if self.reference is model else contextlib.nullcontext()
        with torch.no_grad(), without:
            before = row_losses(self.reference(**forget).logits, forget["labels"])
        now = row_losses(model(**forget).logits, forget["labels"])
        return kept - 2 / 0.1 * torch.nn.functional.logsigmoid(0.1 * (now - before)).mean()


class MeasuredTrainer(UnlearnTrainer):
    """Measures steps, not the losses of both sets that are taken before the first."""

    def start_run(self) -> None:
        """Take the losses as known."""
        self.run_state.initial_losses = {"forget": 1.0, "retain": 1.0}
        super().start_run()


def packs(trainer: Trainer) -> bool:
    """Whether the model is given the rows of a batch as one, without padding."""
    return isinstance(trainer, UnlearnTrainer) and cast(TextTask, trainer.task).forward.packing


def tokens_of(batch: Any, *, packed: bool) -> int:
    """What the model is given of a batch of one side: with padding, unless it is packed."""
    mask = batch["attention_mask"]
    return int(mask.sum() if packed else mask.numel())


def tokens_of_pair(pair: Any, *, packed: bool) -> int:
    """Those of both sides of a step."""
    return sum(tokens_of(pair[side], packed=packed) for side in ("forget", "retain"))


def row_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each row, summed over its answer."""
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2).float(), labels[:, 1:], ignore_index=-100, reduction="none"
    )
    return losses.sum(-1)


class RandomPairs(torch.utils.data.Dataset[dict[str, Any]]):
    """A forget row beside a retain row drawn at random."""

    def __init__(self, forget: list[Any], retain: list[Any]) -> None:
        self.forget, self.retain = forget, retain
        self.partner = torch.randint(len(retain), (len(forget),), generator=torch.Generator().manual_seed(0)).tolist()

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"forget": self.forget[i], "retain": self.retain[self.partner[i]]}


class Turns:
    """Threads run one at a time, in a fixed order."""

    def __init__(self, names: list[str]) -> None:
        self.order, self.changed = list(names), threading.Condition()

    def wait(self, name: str) -> None:
        """Until it is this thread's turn."""
        with self.changed:
            self.changed.wait_for(lambda: self.order[0] == name)

    def pass_on(self, *, leave: bool = False) -> None:
        """To the next thread; `leave`: for good."""
        with self.changed:
            name = self.order.pop(0)
            self.order += [] if leave else [name]
            self.changed.notify_all()


class Meter(TrainerCallback):
    """CPU seconds of the steps after the first, and their peak of resident memory above that before the first."""

    def __init__(self, steps: int, side: str, turns: Turns) -> None:
        self.steps, self.first, self.cpu, self.idle, self.peak = steps, 0.0, 0.0, 0, 0
        self.side, self.turns, self.mark = side, turns, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After step 1, and after the last; the other sides take one step each in between."""
        now = time.thread_time()
        if state.global_step == 1:
            self.first, self.mark = now - self.mark, now
        elif state.global_step == 1 + self.steps:
            self.cpu, self.peak = now - self.mark, resident("VmHWM")
        self.turns.pass_on()
        self.turns.wait(self.side)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before step 1 the clock starts; before step 2 the kernel forgets the peak."""
        if state.global_step == 0:
            self.idle = resident("VmRSS")
            self.mark = time.thread_time()
        elif state.global_step == 1:
            Path("/proc/self/clear_refs").write_text("5")


class OwnSteps(TrainerCallback):
    """CPU seconds of the optimizer's steps, without those that a lean probe took: it leaves no gradients."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds, self.start, self.takes = seconds, 0.0, False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """After the probe."""
        self.takes, self.start = any(p.grad is not None for p in model.parameters()), time.thread_time()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the step; the first is not measured."""
        if self.takes and state.global_step > 0:
            self.seconds.append(time.thread_time() - self.start)


def bytes_of_state(optimizer: Any) -> int:
    """Of the tensors that an optimizer keeps."""
    tensors = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    return sum(tensor.nbytes for tensor in tensors)


def resident(what: str) -> int:
    """A figure of /proc/self/status in bytes."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(what))
    return int(line.split()[1]) * 1024


def measure(sides: list[str], body: dict[str, int] | str, **options: Any) -> dict[str, dict[str, float]]:
    """One round, in this process; `body` and `options` as for `train`."""
    turns, found = Turns(sides), {}

    def one(side: str) -> None:
        turns.wait(side)
        try:
            found[side] = train(side, body, turns=turns, **options)
        finally:
            turns.pass_on(leave=True)

    threads = [threading.Thread(target=one, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def train(
    side: str,
    body: dict[str, int] | str,
    *,
    steps: int,
    batch: int,
    seed: int,
    rows: dict[str, Any],
    lora_rank: int = 0,
    turns: Turns | None = None,
    watch: Watch | None = None,
) -> dict[str, float]:
    """One side's run.

    Args:
        side: One of `SIDES`.
        body: Options of `LlamaConfig`, or the folder of a model.
        steps: Measured steps, after a first one.
        batch: Rows of each side in a step.
        seed: Of the weights and of the order of rows.
        rows: Encoded rows, `forget` and `retain`.
        lora_rank: Of an adapter, in place of all weights; 0: none.
        turns: Whose turn it is after a step; None: no other side runs.
        watch: Is shown the trainer before it trains.
    """
    forget, retain = rows["forget"], rows["retain"]
    torch.manual_seed(seed)
    model = make_model(body)
    adapter = None
    if lora_rank:
        adapter = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    meter = Meter(steps, side, turns or Turns([side]))
    common: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
        "seed": seed,
        "max_steps": steps + 1,
        "per_device_train_batch_size": batch,
        "save_strategy": "no",
        "max_grad_norm": 0.0,
        "optim": "adamw_torch_fused",
        "dataloader_pin_memory": False,
        "logging_steps": 10,
    }
    options, probing, taken = SIDES[side], [0.0], [0]
    probed: list[int] = []  # tokens of each loss that a probe took
    own_steps: list[float] = []  # the optimizer's, that the probe of a step has not taken
    trainer: Trainer
    if options is None:
        collate = AnswerCollator(0)
        trainer = JointTrainer(
            model if adapter is None else get_peft_model(model, adapter),
            TrainingArguments(**common, learning_rate=1e-5, lr_scheduler_type="constant", remove_unused_columns=False),
            data_collator=lambda items: {s: collate([item[s] for item in items]) for s in ("forget", "retain")},
            train_dataset=RandomPairs(forget, retain),
            callbacks=[meter],
        )
        if side == "joint npo":
            trainer.reference = make_model(body).eval() if adapter is None else trainer.model
    else:
        args = UnlearnConfig(**{**common, **options}, forget_ceiling="none")
        trainer = ours = MeasuredTrainer(model, args, forget, retain, callbacks=[meter], peft_config=adapter)
        probe = ours.choose_learning_rate

        def timed() -> None:
            start = time.thread_time()
            weights = list(cast(torch.nn.Module, ours.model).parameters())
            given = any(p.grad is not None for p in weights)
            probe()
            if ours.state.global_step > 0:
                probing[0] += time.thread_time() - start
                taken[0] += given and all(p.grad is None for p in weights)

        retain_loss = ours.retain_loss

        def counted_loss(model: Any, batches: Any) -> float:
            if ours.state.global_step > 0:
                probed.extend(tokens_of(batch, packed=packs(ours)) for batch in batches)
            return retain_loss(model, batches)

        ours.choose_learning_rate = timed  # type: ignore[method-assign]
        ours.retain_loss = counted_loss  # type: ignore[method-assign]
        ours.add_callback(OwnSteps(own_steps))
    if watch is not None:
        watch(trainer)
    given: list[tuple[int, bool]] = []  # tokens of the measured steps, and whether they were packed
    step = trainer.training_step

    def counted(model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        if trainer.state.global_step > 0:
            packed = packs(trainer)
            given.append((tokens_of_pair(inputs, packed=packed), packed))
        return step(model, inputs, num_items_in_batch)

    trainer.training_step = counted  # type: ignore[method-assign]
    trainer.train()
    # A lean probe takes the step that the run would have taken: that one it does not add.
    added = probing[0]
    if own_steps:
        added -= taken[0] * statistics.median(own_steps)
    tokens, packed = sum(number for number, _ in given) / steps, given[0][1]
    epoch = list(trainer.get_train_dataloader())
    of_epoch = statistics.mean(tokens_of_pair(pair, packed=packed) for pair in epoch)
    of_retain = statistics.mean(tokens_of(pair["retain"], packed=packed) for pair in epoch)
    longer = statistics.mean(probed) / of_retain if probed else 1.0  # rows of probes than those of the epoch
    others = (meter.cpu - added) / tokens * of_epoch
    return {
        "cpu": meter.cpu / steps,
        "even": meter.cpu / steps / tokens * of_epoch,
        "tokens": tokens,
        "first": meter.first,
        "probe": added / max(meter.cpu - added, 1e-9),
        "probe, even": added / longer / max(others, 1e-9),
        "probe with its step": probing[0] / max(meter.cpu - probing[0], 1e-9),
        "memory": float(meter.peak - meter.idle - bytes_of_state(trainer.optimizer)),
        "weights": float(weights),
    }


def make_model(body: dict[str, Any] | str) -> Any:
    """A Llama with random weights, or the model in a folder."""
    if isinstance(body, str):
        return load_model(body)
    return LlamaForCausalLM(LlamaConfig(**body, max_position_embeddings=512, tie_word_embeddings=False))


def tofu_rows() -> list[Row]:
    """All of TOFU: the last 400 are to be forgotten."""
    texts = (Path(os.environ["NGDIFF_DATA"]) / "tofu" / "full.json").read_text(encoding="utf-8").splitlines()
    return [Row(text["question"], text["answer"]) for text in map(json.loads, texts)]


def encoded_for(tokenizer: Any, rows: list[Row], file: Path) -> Path:
    """forget10 and retain90 as tokens, in a file."""
    encoded = encode_rows(rows, tokenizer, resolve_template("auto", tokenizer, rows), max_length=512)
    torch.save({"forget": encoded[-400:], "retain": encoded[:-400]}, file)
    return file


def encode_tofu(folder: Path) -> dict[str, Path]:
    """TOFU's forget10 and retain90, encoded once for each size of vocabulary."""
    rows = tofu_rows()
    files: dict[str, Path] = {}
    for size in (4096, 8192):
        tokenizer = train_tokenizer([f"{row.prompt} {row.answer}" for row in rows], size)
        file = encoded_for(tokenizer, rows, folder / f"tofu-{size}.pt")
        files |= {shape: file for shape, options in SHAPES.items() if min(options["vocab_size"], 8192) == size}
    return files


def run(words: list[str], *, returns_memory: bool, script: str = __file__) -> Any:
    """What one process of a script prints last. For memory, freed blocks of 64 KiB and more go back to the system."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    if returns_memory:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run(
        [sys.executable, script, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--sides", nargs="+", default=[side for side in SIDES if side not in ON_DEMAND], choices=SIDES)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, with seeds of their own")
    parser.add_argument("--steps", type=int, default=10, help="measured steps of a run, a multiple of 10")
    parser.add_argument("--batch", type=int, default=8, help="rows of each side")
    parser.add_argument("--model", help="folder of a model with a tokenizer, in place of shapes")
    parser.add_argument("--lora-rank", type=int, default=0, help="train an adapter of this rank, on both sides")
    parser.add_argument("--no-memory", action="store_true", help="leave the runs for memory out")
    parser.add_argument("--one", nargs=2, metavar=("SEED", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(
            arguments.sides,
            arguments.model or SHAPES[arguments.shapes[0]],
            steps=arguments.steps,
            batch=arguments.batch,
            seed=int(arguments.one[0]),
            rows=torch.load(arguments.one[1], weights_only=True),
            lora_rank=arguments.lora_rank,
        )
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/full.json")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.model:
            files = {
                arguments.model: encoded_for(load_tokenizer(arguments.model), tofu_rows(), Path(folder, "tofu.pt"))
            }
        else:
            files = encode_tofu(Path(folder))
        for shape in files if arguments.model else arguments.shapes:
            words = ["--batch", str(arguments.batch), "--lora-rank", str(arguments.lora_rank)]
            words += ["--model" if arguments.model else "--shapes", shape, "--one"]
            runs = []
            for seed in range(arguments.rounds):
                options = [str(seed), str(files[shape]), "--steps", str(arguments.steps)]
                runs.append(run([*words, *options, "--sides", *arguments.sides], returns_memory=False))
            results = {side: [found[side] for found in runs] for side in arguments.sides}
            for side in [] if arguments.no_memory else arguments.sides:
                alone = run([*words, "0", str(files[shape]), "--sides", side], returns_memory=True)
                results[side][0]["memory"] = alone[side]["memory"]
            bars = MODEL_BARS if arguments.model else BARS
            print_table(shape, results, bars, memory=not arguments.no_memory)


def print_table(shape: str, results: dict[str, list[dict[str, float]]], bars: list[Any], *, memory: bool) -> None:
    """Medians over the rounds; bars below."""
    median = {s: {k: statistics.median(run[k] for run in runs) for k in runs[0]} for s, runs in results.items()}
    for side, runs in results.items():
        median[side]["memory"] = runs[0]["memory"]
    print(f"\n{shape}, weights {next(iter(median.values()))['weights'] / 2**20:.0f} MiB")
    print(
        "| side | CPU s a step (single runs) | at an epoch's mean | first step, s "
        "| probes add (as the rows came; with the run's own steps that they take) | memory, in weights |\n"
        "|---|---|---|---|---|---|"
    )
    for side, found in median.items():
        single = ", ".join(f"{run['cpu']:.3f}" for run in results[side])
        above = f"{found['memory'] / found['weights']:.2f}" if memory else "-"
        print(
            f"| {side} | {found['cpu']:.3f} ({single}) | {found['even']:.3f} | {found['first']:.2f} "
            f"| {found['probe, even']:.1%} ({found['probe']:.1%}; {found['probe with its step']:.1%}) | {above} |"
        )
    for side, base, what, where, bar in bars:
        if not {side, base} <= median.keys() or where not in (None, shape) or (what == "memory" and not memory):
            continue
        pairs = list(zip(results[side], results[base], strict=True))[: 1 if what == "memory" else None]
        ratio = statistics.median(one[what] / other[what] for one, other in pairs)  # each within its round
        note = ""
        if what == "memory":  # one gradient is no activation
            activations = median[base]["memory"] / median[base]["weights"] - 1
            note = f" (the baseline's activations: {activations:.1f} x the weights; the bar is for 4 and more)"
        else:
            note = f" ({statistics.median(one['cpu'] / other['cpu'] for one, other in pairs):.3f} as the rows came)"
        what = {"even": "cpu"}.get(what, what)
        print(f"{'holds' if ratio <= bar else 'FAILS'}  {what} of {side} / {base} <= {bar}: {ratio:.3f}{note}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
