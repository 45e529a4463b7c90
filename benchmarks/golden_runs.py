"""Do two states of the code give the same runs, bit for bit?

    python benchmarks/golden_runs.py before                     # in the old checkout
    python benchmarks/golden_runs.py after --against before     # in the new one, on the same machine

Each run is a command line as a user types it, with one option that takes a way of its own through the code. Compared
are weights, logged figures without times, and evaluation records. Figures of speed-only changes (another order of
sums) show how far they are apart. The data and the models are made here; nothing is downloaded.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.distributed import DistributedConfig

from ngdiff import UnlearnConfig, UnlearnTrainer
from ngdiff.cli import main as ngdiff
from ngdiff.core.shards import whole
from ngdiff.data.people import write_people
from ngdiff.modeling.cifar_resnet import CifarResNetConfig
from ngdiff.report.logs import Log, read_log, write_log

SHAPE = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "initializer_range": 0.08,
}
FEW = ["--max-steps", "11", "--per-device-train-batch-size", "4", "--save-strategy", "no"]
HALVES = ["--per-device-train-batch-size", "2", "--gradient-accumulation-steps", "2"]

# Name -> words behind `ngdiff unlearn` of the text model, after `FEW`.
UNLEARN: dict[str, list[str]] = {
    "default": [],
    "fixed rate": ["--learning-rate", "1e-3"],
    "sgd": ["--optim", "sgd"],
    "bf16": ["--bf16", "--use-cpu"],
    "bfloat16 weights": ["--lora-rank", "4", "--dtype", "bfloat16"],
    "lora": ["--lora-rank", "4"],
    "accumulation": HALVES,
    "one buffer": ["--gradient-buffers", "1", *HALVES],
    "stash": ["--stash-dtype", "bfloat16"],
    "padded": ["--packing", "off"],
    "packed by masks": ["--packing", "on"],
    "at random": ["--train-sampling-strategy", "random"],
    "checkpointed layers": ["--activation-checkpointing"],
    "exact probes": ["--autolr-memory", "exact"],
    "probes of the same rows": ["--autolr-batch", "same", "--autolr-interval", "3"],
    "dropout": ["--disable-dropout", "false"],
    "ceiling none": ["--forget-ceiling", "none"],
    "gradnorm": ["--weighting", "gradnorm"],
    "torchjd": ["--weighting", "torchjd:upgrad"],
    "npo": ["--method", "npo+ngdiff"],
    "dpo": ["--method", "dpo+ngdiff"],
    "idk": ["--method", "idk"],
    "undial": ["--method", "undial+ngdiff"],
    "rmu": ["--method", "rmu"],
    "kl": ["--retain-objective", "kl"],
    "prodigy": ["--optimizer", "prodigy"],
    "clipped": ["--max-grad-norm", "1.0"],
    "several parts": ["--method", "simnpo(beta=3)+imtl-g", "--eval-strategy", "steps", "--eval-steps", "5"],
}
TIMES = ("runtime", "per_second", "total_flos")


def made(folder: Path) -> Path:
    """Rows, images, and the models that know them; made once for a folder."""
    place = folder / "material"
    if (place / "ready").exists():
        return place
    write_people(place / "data", 6, questions=4, forget_fraction=0.34)
    (place / "shape.json").write_text(json.dumps(SHAPE))
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    pixels = rng.integers(0, 180, (90, 8, 8, 3), dtype=np.uint8)
    pixels[np.arange(90), ..., labels] += 75
    np.savez(
        place / "images.npz",
        x_train=pixels,
        y_train=labels,
        x_test=pixels[:30],
        y_test=labels[:30],
        class_names=["ant", "bee", "cow"],
    )
    CifarResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic").to_json_file(
        place / "resnet.json"
    )
    (place / "ready").touch()
    return place


def run(words: list[str], processes: int = 1) -> None:
    """Run one command of ngdiff; end this program if it fails."""
    words = words if "--resume" in words else [*words, "--overwrite"]
    if processes == 1:
        status = ngdiff(words)
        if status:
            raise SystemExit(f"ngdiff {' '.join(words)} ended with {status}")
    else:
        launch(processes, "-m", "ngdiff", *words)


def launch(processes: int, *words: str) -> None:
    """Run a Python program in several processes with torchrun; end this program if it fails."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    status = subprocess.run([*launcher, *words], timeout=900).returncode
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")


def train_sharded(model: Path, data: Path, output: Path) -> None:
    """One process of an unlearning run whose weights are sharded by FSDP2.

    From Python, because accelerate shards nothing on a CPU, so that `--fsdp` is refused there.
    """
    dist.init_process_group("gloo")
    config = DistributedConfig(fsdp_size=dist.get_world_size())
    trainer = UnlearnTrainer(
        AutoModelForCausalLM.from_pretrained(model, distributed_config=config, dtype=torch.float32),
        UnlearnConfig(
            str(output / "run"),
            max_steps=11,
            per_device_train_batch_size=2,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
        ),
        data / "forget.jsonl",
        data / "retain.jsonl",
        processing_class=AutoTokenizer.from_pretrained(model),
    )
    trainer.train()
    trained = cast(torch.nn.Module, trainer.model)
    weights = {name: whole(weight).detach().clone() for name, weight in trained.named_parameters()}
    if dist.get_rank() == 0:
        save_file(weights, output / "model.safetensors")
        write_log(output, Log(trainer.state.log_history, trainer.run_state.probes))
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo may abort when the interpreter shuts down, after everything is written


def take(folder: Path, only: str) -> None:
    """All runs whose name holds `only`, each into a folder of its name."""
    place = made(folder)
    target, images = folder / "finetune", folder / "finetune images"
    train = ["--train", str(place / "data" / "full.jsonl"), "--vocab-size", "300", "--num-train-epochs", "8"]
    if not target.exists():
        run(["finetune", "--model", str(place / "shape.json"), *train, "--output", str(target)])
    if not images.exists():
        words = ["--dataset", str(place / "images.npz"), "--num-train-epochs", "3", "--output", str(images)]
        run(["finetune", "--task", "image", "--model", str(place / "resnet.json"), *words])
    sets = [word for name in ("forget", "retain") for word in (f"--{name}", str(place / "data" / f"{name}.jsonl"))]
    text = ["unlearn", "--model", str(target), *sets, *FEW]
    for name, words in UNLEARN.items():
        if only in name:
            run([*text, *words, "--output", str(folder / name)])
    if only in "resume in the middle":
        words = [*text, "--max-steps", "6", "--save-strategy", "steps", "--save-steps", "6", "--keep-checkpoints"]
        words += ["--output", str(folder / "resume in the middle")]
        run(words)
        run([*words, "--max-steps", "11", "--resume"])
    if only in "two processes":
        words = ["--use-cpu", "--per-device-train-batch-size", "2", "--output", str(folder / "two processes")]
        run([*text, *words], processes=2)
    if only in "sharded":
        (folder / "sharded").mkdir(exist_ok=True)
        launch(2, __file__, str(folder / "sharded"), "--sharded", str(target), str(place / "data"))
    image = ["--task", "image", "--model", str(images), "--dataset", str(place / "images.npz"), "--forget-class", "bee"]
    for name, more in {"images": [], "images, batch statistics": ["--batch-norm", "train"]}.items():
        if only in name:
            run(["unlearn", *image, *FEW, *more, "--output", str(folder / name)])
    for model in (target, folder / "default", folder / "lora"):
        if only in f"evaluate {model.name}" and model.exists():
            out = folder / f"evaluate {model.name}"
            run(["evaluate", "--model", str(model), *sets, "--lowercase", "--output", str(out)])
    if only in "evaluate images":
        run(["evaluate", *image, "--output", str(folder / "evaluate images")])


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the model or adapter in a folder."""
    return {f"{f.name}: {k}": v for f in sorted(folder.glob("*.safetensors")) for k, v in load_file(f).items()}


def figures_of(folder: Path) -> list[dict[str, Any]]:
    """What the run logged, without times."""
    log = read_log(folder)
    steps = [{k: v for k, v in row.items() if not any(t in k for t in TIMES)} for row in log.steps]
    return [*steps, *map(dict, log.probes)]


def records_of(folder: Path) -> list[Any]:
    """Evaluation records of all sets; where a row came from is a path of that run."""
    lines = [line for file in sorted(folder.glob("private/records_*")) for line in file.open(encoding="utf-8")]
    return [{k: v for k, v in json.loads(line).items() if k != "origin"} for line in lines]


def apart(one: Path, other: Path) -> str:
    """In words, how far two runs of one name are apart; empty where they are the same, bit for bit."""
    found = []
    a, b = weights_of(one), weights_of(other)
    if a.keys() != b.keys():
        return "other tensors"
    if not all(torch.equal(a[k], b[k]) for k in a):
        found.append(f"weights by {max(float((a[k].double() - b[k].double()).abs().max()) for k in a):.1e}")
    for what, of in (("figures", figures_of), ("records", records_of)):
        x, y = of(one), of(other)
        if x != y:
            shared = sum(p == q for p, q in zip(x, y, strict=False))
            found.append(f"{what}: {shared} of {len(x)} lines are the same ({len(y)} after)")
    return ", ".join(found)


def main() -> None:
    """Take the runs, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="folder for the runs")
    parser.add_argument("--against", type=Path, help="such a folder of another state of the code")
    parser.add_argument("--only", default="", help="runs whose name holds this word")
    parser.add_argument("--sharded", type=Path, nargs=2, metavar=("MODEL", "DATA"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sharded:
        model, data = options.sharded
        train_sharded(model, data, options.output)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    take(options.output.absolute(), options.only)
    if options.against is None:
        return
    names = sorted(p.name for p in options.output.iterdir() if p.is_dir() and p.name != "material")
    differing = 0
    for name in names:
        if not (options.against / name).is_dir():
            print(f"{name:<28} is new")
            continue
        difference = apart(options.against / name, options.output / name)
        differing += bool(difference)
        print(f"{name:<28} {difference or 'same bits'}")
    print(f"{len(names) - differing} of {len(names)} the same")
    raise SystemExit(1 if differing else 0)


if __name__ == "__main__":
    main()
