"""The whole TOFU metric set, predicted once, against a plain loop that runs each metric with passes of its own.

    NGDIFF_DATA=... python benchmarks/evaluate.py [--rounds 2] [--tokens-per-batch 4096]
    NGDIFF_DATA=... python benchmarks/evaluate.py --model DIR --rows 8 --models pretrained [learnt] [--rounds 1]

Rows: 100 forget, 100 retain, 100 real authors, 117 world facts. Two models: a Llama of 3 M parameters trained here
until it recites forget and retain rows, as a model does before unlearning; and stories260K, which recites nothing,
speaks until it is cut, and so is the worst case. With `--model`, a model of your own, by its chat template if it has
one, as it is (`pretrained`) and after it has learnt the forget and retain rows (`learnt`): the folder `base` of
`real_model.py` is SmolLM2-135M-Instruct. Both sides: one thread, fp32, KV cache, the same token budget of a
batch, the same longest answer (200 tokens, prompt included), the same model code. The plain loop takes rows in file
order, one model call for each metric and batch, and all logits, as harnesses with one pass for each metric do. The
sides take turns; CPU seconds are of the process.

The full set is what TOFU and ngdiff report of these rows: `METRICS`. Beside its ratio stands that of a lean loop,
which lacks the numbers that only read others' passes anew (`DERIVED`): the loss, the arithmetic truth ratio and the
sample of forget quality. Ours runs twice: also with `--speed off`, each sequence from its start. Prints calls and
passes of each side and the largest difference of every number.
"""

import argparse
import logging
import math
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from ngdiff.data import EvaluationSet, Row, Template, benchmark_sets, encode, resolve_template
from ngdiff.data.encode import end_token_ids
from ngdiff.evaluation import evaluate
from ngdiff.metrics import rouge
from ngdiff.modeling import build_model, load_model, load_tokenizer, train_tokenizer
from ngdiff.training.finetune import FinetuneConfig, finetune

PLAIN = Template("plain")
LENGTH = 200
MIN_K = 0.4
Numbers = dict[str, float]


class Counter:
    """Calls of a model, and what went through it."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.calls = self.scored = self.tokens = self.steps = 0
        self._handle = model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows, width = kwargs["input_ids"].shape
        self.calls += 1
        self.tokens += rows * width
        if kwargs.get("use_cache") is False:
            self.scored += rows
        else:
            self.steps += 1

    def stop(self) -> None:
        """No longer count."""
        self._handle.remove()


# --- scores of one answer, for both sides: from the log-probabilities of its tokens ---


def min_k(nll: Sequence[float]) -> float:
    """Minus the mean of the smallest 40 % of log-probabilities."""
    lowest = sorted(nll, reverse=True)[: max(int(MIN_K * len(nll)), 1)]
    return math.fsum(lowest) / len(lowest)


def min_k_plus(z: Sequence[float]) -> float:
    """Minus the mean of the smallest 40 % of standardised log-probabilities."""
    return min_k([-value for value in z])


def extraction_strength(hit: Sequence[int]) -> float:
    """Length of the last run of first choices over the number of tokens."""
    missed = [place + 1 for place, value in enumerate(hit) if not value]
    return (len(hit) - max(missed, default=0)) / len(hit)


def zlib_ratio(loss: float, text: str) -> float:
    """Loss over compressed bytes."""
    return loss / len(zlib.compress(text.encode()))


def truth_ratio(right: float, wrong: Sequence[float]) -> float:
    """Geometric, of mean losses."""
    return math.exp(right - math.fsum(wrong) / len(wrong))


def arithmetic(right: float, wrong: Sequence[float]) -> float:
    """Arithmetic, of mean losses."""
    return mean([math.exp(right - loss) for loss in wrong])


def fold(name: str, ratio: float) -> float:
    """TOFU's two ways to read a truth ratio."""
    return min(ratio, 1 / ratio) if name == "forget" else max(0.0, 1 - ratio)


def mean(values: Sequence[float]) -> float:
    """Arithmetic."""
    return math.fsum(values) / len(values)


# --- the plain side: every metric calls the model itself ---


class Plain:
    """Batches in file order, all logits."""

    def __init__(self, model: Any, tokenizer: Any, template: Template, budget: int) -> None:
        self.model, self.tokenizer, self.template, self.budget = model, tokenizer, template, budget
        self.ends = set(end_token_ids(tokenizer, template))

    def batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Consecutive rows, as many as the budget holds when padded to the longest."""
        batch: list[int] = []
        for index in range(len(lengths)):
            if batch and (len(batch) + 1) * max(lengths[i] for i in [*batch, index]) > self.budget:
                yield batch
                batch = []
            batch.append(index)
        yield batch

    def log_probabilities(self, rows: Sequence[Row], answers: Sequence[str]) -> Iterator[tuple[torch.Tensor, Any]]:
        """For each row log p over the vocabulary at its labels [N, V], and the labels: one pass."""
        items = [
            encode(r, self.tokenizer, self.template, max_length=LENGTH, answer=a)
            for r, a in zip(rows, answers, strict=True)
        ]
        lengths = [len(item.input_ids) for item in items]
        for batch in self.batches(lengths):
            width = max(lengths[i] for i in batch)
            ids = torch.tensor([items[i].input_ids + [0] * (width - lengths[i]) for i in batch])
            mask = torch.tensor([[1] * lengths[i] + [0] * (width - lengths[i]) for i in batch])
            with torch.no_grad():
                logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            log_p = torch.log_softmax(logits.float(), dim=-1)
            for row, i in enumerate(batch):
                places = [t for t in range(1, lengths[i]) if items[i].labels[t] != -100]
                yield log_p[row, [t - 1 for t in places]], torch.tensor([items[i].labels[t] for t in places])

    def nll(self, rows: Sequence[Row], answers: Sequence[str]) -> list[list[float]]:
        """-log p of each label: one pass."""
        found = self.log_probabilities(rows, answers)
        return [(-log_p.gather(1, labels[:, None])[:, 0]).double().tolist() for log_p, labels in found]

    def losses(self, rows: Sequence[Row], answers: Sequence[str]) -> list[float]:
        """Mean nll of each row: one pass."""
        return [mean(values) for values in self.nll(rows, answers)]

    def hits(self, rows: Sequence[Row]) -> list[list[int]]:
        """Whether each label is the first choice: one pass."""
        found = self.log_probabilities(rows, [row.answer for row in rows])
        return [(log_p.argmax(dim=-1) == labels).long().tolist() for log_p, labels in found]

    def z(self, rows: Sequence[Row]) -> list[list[float]]:
        """Standardised log p of each label: one pass."""
        values = []
        for log_p, labels in self.log_probabilities(rows, [row.answer for row in rows]):
            p = log_p.exp()
            centre = (p * log_p).sum(dim=-1)
            spread = (p * (log_p - centre[:, None]).square()).sum(dim=-1).sqrt()
            values.append(((log_p.gather(1, labels[:, None])[:, 0] - centre) / spread).double().tolist())
        return values

    def answers(self, rows: Sequence[Row]) -> list[str]:
        """Greedy answers: one generation."""
        prompts = [encode(row, self.tokenizer, self.template, max_length=LENGTH).prompt_ids for row in rows]
        config = GenerationConfig(do_sample=False, use_cache=True, pad_token_id=0, eos_token_id=sorted(self.ends))
        self.model.generation_config = config
        said = []
        for batch in self.batches([LENGTH] * len(prompts)):
            width = max(len(prompts[i]) for i in batch)
            ids = torch.tensor([[0] * (width - len(prompts[i])) + prompts[i] for i in batch])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in batch])
            steps = max(LENGTH - len(prompts[i]) for i in batch)
            out = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=steps)[:, width:].tolist()
            for i, new in zip(batch, out, strict=True):
                new = new[: LENGTH - len(prompts[i])]
                new = new[: next((place for place, token in enumerate(new) if token in self.ends), len(new))]
                said.append(self.tokenizer.decode(new, skip_special_tokens=True).strip())
        return said

    # Metrics. Each asks the model for what it needs, whatever others have asked.

    def probability(self, name: str, rows: Sequence[Row]) -> float:
        """TOFU's probability: of the answer, or among the choices."""
        own = self.losses(rows, [row.answer for row in rows])
        if name in ("forget", "retain"):
            return mean([math.exp(-loss) for loss in own])
        others = self.perturbed(rows)
        values = [[math.exp(-loss) for loss in (right, *wrong)] for right, wrong in zip(own, others, strict=True)]
        return mean([p[0] / math.fsum(p) for p in values])

    def perturbed(self, rows: Sequence[Row]) -> list[list[float]]:
        """Losses of the wrong answers: as many passes as a row has."""
        passes = [
            self.losses(rows, [row.perturbed_answers[j] for row in rows]) for j in range(len(rows[0].perturbed_answers))
        ]
        return [list(values) for values in zip(*passes, strict=True)]

    def rouge(self, name: str, rows: Sequence[Row]) -> float:
        """ROUGE-L recall."""
        return mean([rouge(row.answer, said) for row, said in zip(rows, self.answers(rows), strict=True)])

    def truth_ratio(self, name: str, rows: Sequence[Row]) -> float:
        """Geometric truth ratio."""
        right = self.losses(rows, [row.paraphrased_answer or row.answer for row in rows])
        return mean([fold(name, truth_ratio(r, w)) for r, w in zip(right, self.perturbed(rows), strict=True)])

    def truth_ratio_arithmetic(self, name: str, rows: Sequence[Row]) -> float:
        """Arithmetic truth ratio: its own passes."""
        right = self.losses(rows, [row.paraphrased_answer or row.answer for row in rows])
        return mean([fold(name, arithmetic(r, w)) for r, w in zip(right, self.perturbed(rows), strict=True)])

    def forget_quality(self, name: str, rows: Sequence[Row]) -> float:
        """Mean logarithm of the truth ratios, whose sample is compared with a retrained model's."""
        right = self.losses(rows, [row.paraphrased_answer or row.answer for row in rows])
        return mean([math.log(truth_ratio(r, w)) for r, w in zip(right, self.perturbed(rows), strict=True)])

    def exact_memorisation(self, name: str, rows: Sequence[Row]) -> float:
        """Part of the tokens that are first choices."""
        return mean([mean(hit) for hit in self.hits(rows)])

    def extraction_strength(self, name: str, rows: Sequence[Row]) -> float:
        """Mean extraction strength."""
        return mean([extraction_strength(hit) for hit in self.hits(rows)])

    def loss(self, name: str, rows: Sequence[Row]) -> float:
        """Token mean of the answers' loss."""
        found = self.nll(rows, [row.answer for row in rows])
        return math.fsum(map(math.fsum, found)) / sum(map(len, found))

    def membership_loss(self, name: str, rows: Sequence[Row]) -> float:
        """Membership inference by loss."""
        return mean(self.losses(rows, [row.answer for row in rows]))

    def zlib(self, name: str, rows: Sequence[Row]) -> float:
        """Membership inference by loss over compressed bytes."""
        own = self.losses(rows, [row.answer for row in rows])
        return mean([zlib_ratio(loss, row.answer) for loss, row in zip(own, rows, strict=True)])

    def min_k(self, name: str, rows: Sequence[Row]) -> float:
        """Membership inference by Min-40 %."""
        return mean([min_k(nll) for nll in self.nll(rows, [row.answer for row in rows])])

    def min_k_plus(self, name: str, rows: Sequence[Row]) -> float:
        """Membership inference by Min-40 %++."""
        return mean([min_k_plus(z) for z in self.z(rows)])


MEMBERSHIP = ("membership_loss", "zlib", "min_k", "min_k_plus")
TOFU = ("probability", "rouge", "truth_ratio", "truth_ratio_arithmetic", "loss")
METRICS = {
    "forget": (*TOFU, "forget_quality", "exact_memorisation", "extraction_strength", *MEMBERSHIP),
    "retain": (*TOFU, *MEMBERSHIP),
    "real_authors": TOFU,
    "world_facts": TOFU,
}


DERIVED = ("truth_ratio_arithmetic", "loss", "forget_quality")


Side = Callable[[Any, Any, Template, dict[str, EvaluationSet], int, dict[str, float]], Numbers]


def plain(
    model: Any, tokenizer: Any, template: Template, sets: dict[str, EvaluationSet], budget: int, spent: dict[str, float]
) -> Numbers:
    """Every metric of every set with its own passes; CPU seconds of each metric are added to `spent`."""
    side = Plain(model, tokenizer, template, budget)
    numbers = {}
    for name, metrics in METRICS.items():
        for metric in metrics:
            start = time.process_time()
            numbers[f"{name} {metric}"] = getattr(side, metric)(name, sets[name].rows)
            spent[metric] = spent.get(metric, 0.0) + time.process_time() - start
    return numbers


def once(
    model: Any,
    tokenizer: Any,
    template: Template,
    sets: dict[str, EvaluationSet],
    budget: int,
    spent: dict[str, float],
    speed: str = "auto",
) -> Numbers:
    """`ngdiff.evaluation.evaluate`, then the same numbers from its records."""
    options: dict[str, Any] = {"tokens_per_batch": budget, "speed": speed, "show_progress": False}
    result = evaluate(model, tokenizer, sets, template, **options)
    numbers = {}
    for name, metrics in METRICS.items():
        records: Sequence[Any] = result.records[name]
        for metric in metrics:
            if metric == "loss":
                value = math.fsum(r["nll_sum"] for r in records) / sum(r["n_tokens"] for r in records)
            else:
                value = mean([FROM_RECORD[metric](name, record) for record in records])
            numbers[f"{name} {metric}"] = value
    return numbers


SIDES: dict[str, Side] = {
    "plain loop": plain,
    "predicted once, --speed off": partial(once, speed="off"),
    "predicted once": once,
}


def ratio_of(record: Any) -> tuple[float, list[float]]:
    """Losses of the right and of the wrong answers."""
    return loss_of(record["paraphrased"] or record), [loss_of(part) for part in record["perturbed"]]


def loss_of(part: Any) -> float:
    """Mean loss of one likelihood."""
    return part["nll_sum"] / part["n_tokens"]


def probability_of(name: str, record: Any) -> float:
    """As `Plain.probability`, of one record."""
    p = [math.exp(-loss_of(part)) for part in (record, *record["perturbed"])]
    return p[0] if name in ("forget", "retain") else p[0] / math.fsum(p)


FROM_RECORD: dict[str, Callable[[str, Any], float]] = {
    "probability": probability_of,
    "rouge": lambda name, r: rouge(r["reference"], r["generated"]),
    "truth_ratio": lambda name, r: fold(name, truth_ratio(*ratio_of(r))),
    "truth_ratio_arithmetic": lambda name, r: fold(name, arithmetic(*ratio_of(r))),
    "forget_quality": lambda name, r: math.log(truth_ratio(*ratio_of(r))),
    "exact_memorisation": lambda name, r: mean(r["token_hit"]),
    "extraction_strength": lambda name, r: extraction_strength(r["token_hit"]),
    "membership_loss": lambda name, r: loss_of(r),
    "zlib": lambda name, r: zlib_ratio(loss_of(r), r["reference"]),
    "min_k": lambda name, r: min_k(r["token_nll"]),
    "min_k_plus": lambda name, r: min_k_plus(r["token_z"]),
}


def reciting_model(sets: dict[str, EvaluationSet], folder: str) -> tuple[Any, Any]:
    """A small Llama that recites the forget and the retain rows."""
    rows = [*sets["forget"].rows, *sets["retain"].rows]
    tokenizer = train_tokenizer([text for row in rows for text in (row.prompt, row.answer)], vocab_size=4096)
    model = build_model("llama-tiny", tokenizer)
    config = FinetuneConfig(output_dir=folder, report_to=[], num_train_epochs=40, stop_loss=0.03, disable_tqdm=True)
    finetune(model, tokenizer, rows, PLAIN, config)
    return model.eval(), tokenizer


def learnt(model: Any, tokenizer: Any, template: Template, sets: dict[str, EvaluationSet], folder: str) -> None:
    """The model learns the forget and the retain rows."""
    options: dict[str, Any] = {"learning_rate": 2e-4, "per_device_train_batch_size": 4, "disable_tqdm": True}
    config = FinetuneConfig(output_dir=folder, report_to=[], num_train_epochs=15, stop_loss=0.05, **options)
    finetune(model, tokenizer, [*sets["forget"].rows, *sets["retain"].rows], template, config)
    model.eval()


def compare(
    title: str,
    model: Any,
    tokenizer: Any,
    sets: dict[str, EvaluationSet],
    rounds: int,
    budget: int,
    template: Template = PLAIN,
) -> None:
    """All sides in turns."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in SIDES}
    numbers: dict[str, Numbers] = {}
    counts = {}
    spent: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in SIDES.items():
            counter = Counter(model)
            cpu, wall = time.process_time(), time.perf_counter()
            numbers[name] = side(model, tokenizer, template, sets, budget, spent)
            seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
            counter.stop()
            counts[name] = counter
    print(f"\n{title}: {sum(p.numel() for p in model.parameters()):,} parameters, vocabulary {len(tokenizer)}")
    print("| side | rows scored | steps of generation | model calls | tokens, padded | CPU s | wall s |")
    print("|---|---|---|---|---|---|---|")
    for name, c in counts.items():
        times = " | ".join("/".join(f"{t[k]:.1f}" for t in seconds[name]) for k in (0, 1))
        print(f"| {name} | {c.scored} | {c.steps} | {c.calls} | {c.tokens:,} | {times} |")
    worst: dict[str, float] = {}
    for key, value in numbers["plain loop"].items():
        kind = key.split()[1]
        gap = abs(value - numbers["predicted once"][key]) / max(abs(value), 1e-9)
        worst[kind] = max(worst.get(kind, 0.0), gap)
    print("largest relative difference: " + ", ".join(f"{kind} {gap:.1e}" for kind, gap in worst.items()))
    rouges = ", ".join(f"{name} {numbers['predicted once'][f'{name} rouge']:.3f}" for name in METRICS)
    print(f"ROUGE-L recall: {rouges}")
    each = ", ".join(f"{metric} {value / rounds:.1f}" for metric, value in spent.items())
    print(f"CPU seconds of the plain loop by metric: {each}")
    full, *own = (math.fsum(cpu for cpu, _ in seconds[name]) for name in SIDES)
    lean = full - math.fsum(spent[metric] for metric in DERIVED)
    for name, ours in zip(list(SIDES)[1:], own, strict=True):
        print(f"ratio of CPU seconds to {name}: full set {full / ours:.2f}, lean loop {lean / ours:.2f}")


def main() -> None:
    """Run both models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="of the model that recites; the other has one")
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    own = ["pretrained", "learnt"]
    parser.add_argument("--models", nargs="+", choices=["recites", "stories260K", *own])
    parser.add_argument("--model", metavar="DIR", help="of the models pretrained and learnt")
    parser.add_argument("--rows", type=int, help="first rows of every set")
    arguments = parser.parse_args()
    models = arguments.models or (["recites", "stories260K"] if arguments.model is None else own)
    if (arguments.model is None) != (not set(models) & set(own)):
        raise SystemExit("--model DIR and the models pretrained or learnt are given together")
    if "NGDIFF_DATA" not in os.environ:
        raise SystemExit("NGDIFF_DATA is not set: it names the folder that holds tofu/ and lm/stories260K/")
    torch.set_num_threads(1)
    logging.getLogger("ngdiff").setLevel(logging.ERROR)  # the plain loop encodes row by row, each with its warning
    data = Path(os.environ["NGDIFF_DATA"])
    sets = benchmark_sets(f"tofu:{data / 'tofu'}", rows=100)
    sets = {name: replace(part, rows=part.rows[: arguments.rows]) for name, part in sets.items()}
    print(", ".join(f"{name} {len(part.rows)}" for name, part in sets.items()))
    rounds, budget = arguments.rounds, arguments.tokens_per_batch
    if "recites" in models:
        with tempfile.TemporaryDirectory() as folder:
            compare("recites", *reciting_model(sets, folder), sets, rounds, budget)
    if "stories260K" in models:
        name = str(data / "lm" / "stories260K")
        compare("stories260K", load_model(name), load_tokenizer(name), sets, 1, budget)
    for kind in own:
        if kind not in models:
            continue
        model, tokenizer = load_model(arguments.model, dtype="float32").eval(), load_tokenizer(arguments.model)
        template = resolve_template("auto", tokenizer, sets["forget"].rows)
        if kind == "learnt":
            with tempfile.TemporaryDirectory() as folder:
                learnt(model, tokenizer, template, sets, folder)
        compare(f"{arguments.model}, {kind}", model, tokenizer, sets, rounds, budget, template)


if __name__ == "__main__":
    main()
