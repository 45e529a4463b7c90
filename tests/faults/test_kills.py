"""SIGKILL at random moments, then --resume until the run is done: the same bits as a run that nobody killed.

By default three kills; marked slow, more than 50 over precisions, methods, adapters, processes and architectures.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import transformers

from ngdiff.cli import main
from ngdiff.modeling import load_tokenizer

from ..end_to_end.runs import log_of, run, steps_of, succeeded

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

# A pass has 2 steps (with accumulation as many); checkpoints lie at its end and within it.
BASE = {
    "per_device_train_batch_size": 2,
    "max_steps": 25,
    "save_strategy": "steps",
    "save_steps": 3,
    "autolr_interval": 4,
    "forget_ceiling": "none",
    "max_retain_loss": "none",  # random models are soon ruined
}
SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
MIXTURE = {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}
MODELS = {"GPTNeoX": {}, "Mixtral": MIXTURE}

# Name -> options, kills.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "fp32": ({}, 8),
    "bf16": ({"dtype": "bfloat16"}, 6),
    "lora": ({"lora_rank": 2}, 6),
    "accumulation": ({"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}, 6),
    "gradnorm": ({"method": "gradnorm", "learning_rate": "1e-3"}, 6),
    "npo": ({"method": "npo+ngdiff"}, 6),
    "gptneox": ({"model": "GPTNeoX"}, 6),
    "mixture": ({"model": "Mixtral"}, 6),
    "two processes": ({"per_device_train_batch_size": 1, "processes": 2}, 4),
}


def call(words: list[str], log: str) -> None:
    """`ngdiff WORDS` in a process of its own, that a server forked after it had imported everything."""
    with open(log, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os._exit(main(words))


class Command:
    """`ngdiff WORDS` in one process, or in several under torchrun."""

    def __init__(self, words: list[str], log: Path, processes: int) -> None:
        self.words, self.log, self.processes = words, log, processes
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["ngdiff.cli.unlearn"])

    @contextmanager
    def running(self, *more: str) -> Iterator[Any]:
        """The process; it and its own are gone afterwards."""
        words = [*self.words, *more]
        if self.processes == 1:
            process = self.context.Process(target=call, args=(words, str(self.log)))
            process.start()
            try:
                yield process
            finally:
                process.kill()
                process.join(60)
            return
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        with self.log.open("a") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", *launcher, "-m", "ngdiff", *words],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            try:
                yield Waited(started)
            finally:
                kill_group(started)

    def to_the_end(self, *more: str) -> float:
        """Run it and see that it succeeds; seconds that it took."""
        start = time.monotonic()
        with self.running(*more) as process:
            process.join(180)
            assert process.exitcode == 0, self.log.read_text()[-3000:]
        return time.monotonic() - start


class Waited:
    """A process of `subprocess` as those of `multiprocessing` are."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def join(self, timeout: float) -> None:
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    @property
    def exitcode(self) -> int | None:
        return self.process.poll()


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """torchrun and its workers, which have groups of their own: none of them can catch it."""
    workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        assert process.poll() is not None
    process.wait(60)
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with torchrun
            worker.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


@pytest.fixture(scope="module")
def models(material, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random models whose names on disk are not those in memory, with the tokenizer of the micro model."""
    tokenizer = load_tokenizer(material.model)
    ids = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    found = {}
    for kind, options in MODELS.items():
        config = getattr(transformers, f"{kind}Config")(
            **{**SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 256, **ids, **options}
        )
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        found[kind] = tmp_path_factory.mktemp("models") / kind
        model.save_pretrained(found[kind])
        tokenizer.save_pretrained(found[kind])
    return found


def outcome_of(folder: Path, name: str) -> tuple[Any, ...]:
    """Weights, steps and probes of a run that is done."""
    return (folder / name).read_bytes(), steps_of(folder), log_of(folder)["probes"]


def kill_and_resume(material, models, tmp_path: Path, case: str, kills: int, seed: int) -> None:
    """Kill a run `kills` times, each time at a moment that chance chooses, and compare its end."""
    options = {**BASE, **CASES[case][0]}
    processes = options.pop("processes", 1)
    options["model"] = models.get(options.get("model"), material.model)
    name = "adapter_model.safetensors" if "lora_rank" in options else "model.safetensors"
    whole, killed, log = tmp_path / "whole", tmp_path / "killed", tmp_path / "log"
    Command(["methods"], log, 1).to_the_end()  # the server is up, and everything imported
    seconds = Command(material.words(whole, **options), log, processes).to_the_end()
    command = Command(material.words(killed, **options), log, processes)
    chance, hits, tries = random.Random(seed), 0, 0
    while hits < kills and tries < 5 * kills:
        tries += 1
        more = ["--resume"] if killed.is_dir() and any(killed.iterdir()) else []
        with command.running(*more) as process:
            process.join(chance.uniform(0.05, 0.8) * seconds)
            if process.exitcode is not None:  # it was done before: begin anew, with other moments
                assert process.exitcode == 0, log.read_text()[-3000:]
                assert outcome_of(killed, name) == outcome_of(whole, name)
                killed.rename(tmp_path / f"done {tries}")
            else:
                hits += 1
    assert hits == kills
    command.to_the_end(*(["--resume"] if killed.is_dir() and any(killed.iterdir()) else []))
    assert outcome_of(killed, name) == outcome_of(whole, name)
    assert not list(killed.glob(".*"))
    if processes == 1:
        assert "is done: nothing is left to do" in succeeded(run(*command.words, "--resume")).out


def test_three_kills(material, models, tmp_path):
    kill_and_resume(material, models, tmp_path, "mixture", kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_more_kills(material, models, tmp_path, case):
    kill_and_resume(material, models, tmp_path, case, kills=CASES[case][1], seed=len(case))


def test_the_long_campaign_has_50_kills():
    assert sum(kills for _, kills in CASES.values()) >= 50
