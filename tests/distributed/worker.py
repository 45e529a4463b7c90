"""One process of several runs: `worker.py FOLDER '{"name": {...options}, ...}'`. Rank 0 writes FOLDER/name.pt for each.

Options are those of `UnlearnConfig` and, of the worker's own: `sharded` (FSDP2, at load time), `lora`, `text` (rows of
text), `resume` (a checkpoint), `trap` (a precaution to leave out) and `saved` (a folder to write the model to).
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers.trainer
from accelerate import Accelerator, DistributedType
from accelerate.state import AcceleratorState, PartialState
from peft import LoraConfig
from transformers import LlamaConfig, LlamaForCausalLM

from ngdiff.core.shards import whole
from ngdiff.modeling import train_tokenizer
from ngdiff.training import UnlearnConfig, UnlearnTrainer, config, sharding
from ngdiff.training.sharding import has_shards

VOCABULARY = 300  # a byte-level tokenizer has no fewer than 259
WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak", "pine", "rowan", "willow", "yew"]


def model() -> LlamaForCausalLM:
    """The same weights in every process."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    )


def sharded_model(folder: Path) -> LlamaForCausalLM:
    """The same model, each process with its part of every weight."""
    from transformers.distributed import DistributedConfig

    if not dist.is_initialized():
        dist.init_process_group("gloo")
    if dist.get_rank() == 0 and not folder.exists():
        model().save_pretrained(folder)
    dist.barrier()
    spread = DistributedConfig(fsdp_size=dist.get_world_size())
    return LlamaForCausalLM.from_pretrained(folder, distributed_config=spread, dtype=torch.float32)


def rows(count: int, seed: int) -> list[dict[str, list[int]]]:
    """Rows of different lengths, so that the ranks' batches hold different numbers of tokens."""
    g = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        length = int(torch.randint(6, 30, (1,), generator=g))
        ids = torch.randint(3, VOCABULARY, (length,), generator=g).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (length // 3) + ids[length // 3 :]})
    return made


def texts(count: int, seed: int) -> list[dict[str, str]]:
    """Questions and answers of a few words."""
    g = torch.Generator().manual_seed(seed)

    def some(most: int) -> str:
        size = int(torch.randint(1, most + 1, (1,), generator=g))
        return " ".join(WORDS[i] for i in torch.randint(len(WORDS), (size,), generator=g).tolist())

    return [{"prompt": f"{seed} {i} {some(2)}?", "completion": some(4)} for i in range(count)]


class Recorder(UnlearnTrainer):
    """Notes which rows this process saw in every step."""

    seen: list[tuple[int, str, int]]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        for side in ("forget", "retain"):
            self.seen += [(self.state.global_step, side, i) for i in inputs[side]["row_id"].tolist()]
        return super().training_step(model, inputs, num_items_in_batch)


@contextmanager
def trapped(trap: str | None, trainer: Any) -> Iterator[None]:
    """Within, one of the precautions for sharded weights is left out."""
    kept = sharding.reshard
    if trap == "no_reshard":
        sharding.reshard = lambda model: None
    if trap == "no_sync":
        trainer.accelerator.gradient_state.plugin_kwargs["sync_each_batch"] = False
    try:
        yield
    finally:
        sharding.reshard = kept


class CpuAccelerator(Accelerator):
    """accelerate's FSDP2 plugin on CPU, where accelerate itself leaves FSDP out without a word."""

    def __init__(self, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
        super().__init__(*args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None:
            AcceleratorState._shared_state.update(distributed_type=DistributedType.FSDP, fsdp_plugin=fsdp_plugin)
            PartialState._shared_state["distributed_type"] = DistributedType.FSDP  # as accelerate does elsewhere


@contextmanager
def fsdp_on_cpu(wanted: bool) -> Iterator[None]:
    """Within, `--fsdp` is not refused on CPU and does shard."""
    kept = transformers.trainer.Accelerator, config.check_fsdp_options
    environment = dict(os.environ)
    if wanted:
        transformers.trainer.Accelerator = CpuAccelerator
        config.check_fsdp_options = lambda args: None
    try:
        yield
    finally:
        transformers.trainer.Accelerator, config.check_fsdp_options = kept
        os.environ.clear()
        os.environ.update(environment)


def walk(folder: Path, name: str, options: dict[str, Any]) -> None:
    """One run."""
    own = {key: options.pop(key, None) for key in ("sharded", "lora", "text", "resume", "trap", "saved")}
    defaults = {"output_dir": str(folder / f"run-{name}"), "save_strategy": "no", "num_train_epochs": 2, "seed": 3}
    defaults |= {"per_device_eval_batch_size": 3}
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        options.pop("ddp_backend", None)  # refused in one process
    args = UnlearnConfig(use_cpu=True, disable_tqdm=True, report_to=[], forget_ceiling="none", **(defaults | options))
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM") if own["lora"] else None
    if lora is not None:  # an adapter that does something from the first step on: both factors random
        lora.init_lora_weights = False
    many = dist.is_initialized() and dist.get_world_size() > 1
    words = [text for seed in (1, 2) for row in texts(30, seed) for text in row.values()]
    tokenizer = train_tokenizer(words, vocab_size=VOCABULARY) if own["text"] else None
    make = texts if own["text"] else rows
    trainer = Recorder(
        sharded_model(folder / "init") if own["sharded"] and many else model(),
        args,
        make(10, 1),
        make(30, 2),
        peft_config=lora,
        processing_class=tokenizer,
    )
    trainer.seen = []
    with trapped(own["trap"], trainer):
        trainer.train(resume_from_checkpoint=own["resume"])
    weights = {name: whole(p).detach().clone() for name, p in trainer.model.named_parameters()}
    # 10 rows in batches of 3, which do not divide: the last batch of one process is a stand-in.
    evaluated = None if has_shards(trainer.model) else trainer.evaluate(trainer.forget_dataset)["eval_loss"]
    seen: list[Any] = [trainer.seen]
    if args.world_size > 1:
        seen = [None] * args.world_size
        dist.all_gather_object(seen, trainer.seen)
    if own["saved"]:
        tokenizer = train_tokenizer(words, vocab_size=VOCABULARY)
        trainer.save_to(own["saved"], tokenizer)
    if args.process_index == 0:
        result = {
            "weights": weights,
            "logs": [row for row in trainer.state.log_history if "loss_forget" in row],
            "initial": trainer.run_state.initial_losses,
            "probes": trainer.run_state.probes,
            "seen": seen,
            "evaluated": evaluated,
            "processes": args.world_size,
            "sharded": has_shards(trainer.model),
        }
        torch.save(result, folder / f"{name}.pt")


def main() -> None:
    """All runs, one after the other."""
    folder, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    gc.freeze()  # transformers collects garbage in every run; not among all that was imported
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("gloo")
    for name, options in cases.items():
        with fsdp_on_cpu(bool(options.get("fsdp"))):
            walk(folder, name, options)
    if dist.is_initialized():
        dist.barrier()
        sys.stdout.flush()
        # gloo aborts in about three of a hundred interpreter shutdowns, after everything is written.
        os._exit(0)


if __name__ == "__main__":
    main()
