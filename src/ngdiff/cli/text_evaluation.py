"""`ngdiff evaluate` of language models: what it reads, checks and predicts."""

import gc
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ngdiff.cli.earlier import EarlierRequests
from ngdiff.cli.evaluate_options import (
    BenchmarkOptions,
    EvaluateOptions,
    MeasureOptions,
    TextEvaluateOptions,
    check_evaluation,
    prompt_tokens_of,
)
from ngdiff.cli.inputs import described_model, inputs_of
from ngdiff.cli.loading import loaded_model
from ngdiff.cli.options import ProtectOptions, SetOptions, check_models, read_sets
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.require import JudgeOptions
from ngdiff.cli.task_option import TaskOptions
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.data import EvaluationSet, Row, Template, benchmark_sets
from ngdiff.data.pieces import is_text
from ngdiff.errors import InputError
from ngdiff.manifest import describe_data

if TYPE_CHECKING:
    from ngdiff.evaluation import EvaluationResult
    from ngdiff.evaluation.processes import Processes
    from ngdiff.evaluation.prompts import Generator
    from ngdiff.evaluation.work import Work


class TextEvaluation:
    """Rows of text and a causal language model; see `ngdiff.cli.tasks.Evaluation`."""

    parser = CommandParser(
        "evaluate",
        "Measure what a model knows of each set: its answers against the right ones, probabilities, truth ratios, "
        "memorisation, membership. Any set will do: --forget, --retain, --holdout, --benchmark, or several of them. "
        "Runs in several processes under torchrun or accelerate launch.",
        {
            "task": TaskOptions,
            "model": TextModelOptions,
            "own data": SetOptions,
            "protected rows": ProtectOptions,
            "benchmarks": BenchmarkOptions,
            "evaluation": EvaluateOptions,
            "requirements": JudgeOptions,
            "measures": MeasureOptions,
        },
        required=("model",),
        short=(
            *("model", "forget", "retain", "holdout", "benchmark", "output", "base_model", "generate"),
            *("before", "require", "resume", "task"),
        ),
        example="ngdiff evaluate --model unlearned --forget forget.jsonl --retain retain.jsonl --output scores",
    )
    seed = 0  # greedy generation draws nothing

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> TextEvaluateOptions:
        """The options."""
        options: TextEvaluateOptions = cls.parser.build(TextEvaluateOptions, values)
        return options

    def __init__(self, options: TextEvaluateOptions) -> None:
        self.options = options
        self.own: dict[str, Any] = {}
        self._harness = check_evaluation(options)
        base = () if options.base_model is None else inputs_of(options.base_model)
        own = (options.forget, options.retain, options.holdout, options.protect)
        sources = (*own, options.benchmark, options.chat_template)
        self.inputs = inputs_of(options.model, *sources) + list(base)

    def open_inputs(self) -> None:
        """The user's own rows, once the models are there."""
        check_models(self.options.model, base_model=self.options.base_model)
        self._own = read_sets(self.options)
        if not self._own and self.options.benchmark is None and self.options.lm_eval is None:
            raise InputError("ngdiff evaluate needs rows: --forget, --retain, --holdout or --benchmark")

    def read(self) -> None:
        """The benchmark's rows, tokenizers and templates."""
        self.sets = _sets(self.options, self._own)
        self._tokenizer, self._template = self._with_template(self.options.model)
        asked, rows = self.options.prompt_tokens, [row for part in self.sets.values() for row in part.rows]
        if asked != "auto" and not any(is_text(row, self._template) for row in rows):
            raise InputError(
                f"--prompt-tokens {asked} changes nothing: it is for texts without a prompt, and no set has any; leave "
                "it out"
            )
        base = self.options.base_model
        self._base = None if base is None else self._with_template(base)
        self.template, self.template_text = self._template.name, self._template.text

    def _with_template(self, name: str) -> tuple[Any, Template]:
        tokenizer = self.options.tokenizer_of(name)
        rows = [row for part in self.sets.values() for row in part.rows]
        return tokenizer, self.options.template_for(self.options.template, tokenizer, rows)

    def data(self) -> dict[str, dict[str, Any]]:
        """For the manifest: the rows."""
        own = [name for name in ("forget", "retain", "holdout", "protect") if getattr(self.options, name) is not None]
        return {
            name: describe_data(part.source, part.rows, self.options.reading(name) if name in own else {})
            for name, part in self.sets.items()
        }

    def model_files(self) -> dict[str, Any]:
        """For the manifest: the model, and the one it is compared with."""
        described = described_model(self.options.model) | self.options.chat_file()
        if self.options.base_model is not None:
            described["base_model"] = described_model(self.options.base_model)
        return described

    def load(self, processes: "Processes") -> None:
        """The model; every check of rows and lengths."""
        from ngdiff.evaluation.evaluate import limits_of
        from ngdiff.evaluation.plan import make_plan

        options = self.options
        self._device = processes.device
        self._model = self._load(options.model)
        limits = limits_of(
            self._model, options.max_length, options.max_new_tokens, prompt_tokens_of(options.prompt_tokens)
        )
        self._plan = make_plan(self.sets, self._tokenizer, self._template, limits, lowercase=options.lowercase)

    def result(self, work: "Work") -> "EvaluationResult":
        """Records and their metrics."""
        import torch

        from ngdiff.evaluation import EvaluationResult
        from ngdiff.evaluation.evaluate import limits_of
        from ngdiff.evaluation.lm_harness import run_harness
        from ngdiff.evaluation.predict import add_base_model, predict_plan

        options, plan, budget = self.options, self._plan, self.options.tokens_per_batch
        records = predict_plan(
            self._model,
            self._tokenizer,
            self._template,
            plan,
            work=work,
            tokens_per_batch=budget,
            speed=options.speed,
            stops={name: part.stops for name, part in self.sets.items()},
            grad_norm=options.grad_norm,
            generator=self._generator(),
        )
        numbers = {} if self._harness is None else run_harness(self._model, self._tokenizer, self._harness)
        if self._base is not None:
            del self._model  # two models need not fit at once
            gc.collect()
            torch.cuda.empty_cache()
            other = self._load(str(options.base_model))
            limits = limits_of(other, options.max_length)
            more: dict[str, Any] = {"work": work, "tokens_per_batch": budget, "speed": options.speed}
            add_base_model(records, plan, other, *self._base, self.sets, limits, **more)
        # Only the process that writes computes metrics.
        return EvaluationResult.of(records, numbers) if work.processes.is_main else EvaluationResult({}, records)

    def _load(self, name: str) -> Any:
        return loaded_model(name, self.options).to(self._device)

    def _generator(self) -> "Generator | None":
        """None: the model itself."""
        options, model = self.options, self._model
        if options.generator == "transformers":
            return None

        import torch

        from ngdiff.evaluation.vllm import vllm_generator

        def make_room() -> None:
            model.to("cpu")
            torch.cuda.empty_cache()

        trusted = options.trust_remote_code
        return vllm_generator(
            options.model, self._plan.ends, dtype=options.dtype, trust_remote_code=trusted, make_room=make_room
        )


def _sets(options: TextEvaluateOptions, own: dict[str, list[Row]]) -> dict[str, EvaluationSet]:
    """Own sets and those of the benchmark, as far as they are wanted.

    Raises:
        InputError: none at all, one that is given twice, rows in two of them, or a wanted one that is not there.
    """
    from ngdiff.evaluation.evaluate import as_sets

    found: dict[str, EvaluationSet] = {}
    if options.benchmark is not None:
        found = benchmark_sets(options.benchmark, split=options.split, rows=options.benchmark_rows)
        for name in own.keys() & found.keys():
            raise InputError(f"--{name} and --benchmark {options.benchmark} both give the set {name}; give one of them")
    published = {name: part.rows for name, part in found.items()}
    if own and (len(own) > 1 or published):
        tokenizer = options.tokenizer_of(options.model)
        rows = [row for part in (*own.values(), *published.values()) for row in part]
        template = options.template_for(options.template, tokenizer, rows)
        own = without_overlap(own, tokenizer, template, drop=options.drop_overlap, published=published)
        if options.drop_overlap and "retain" in own:  # as the run that made the model did
            earlier = EarlierRequests.of_model(options.model)
            earlier.read_to_drop()
            own["retain"] = earlier.keep_apart(own["retain"], drop=True, tokenizer=tokenizer, template=template)
    found = {name: EvaluationSet(rows, source=getattr(options, name)) for name, rows in own.items()} | found
    for name in options.sets or ():
        if name not in found:
            raise InputError(f"--sets {name}: there is no such set here; there are {', '.join(found) or 'none'}")
    if options.sets is not None:
        found = {name: part for name, part in found.items() if name in options.sets}
    if not options.generate:
        found = {name: replace(part, generate=False) for name, part in found.items()}
    return as_sets(found) if found else {}
