"""`ngdiff evaluate` of language models: what it reads, checks and predicts."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ngdiff.cli.earlier import EarlierRequests
from ngdiff.cli.inputs import described_model, inputs_of
from ngdiff.cli.loading import loaded_model
from ngdiff.cli.options import ProtectOptions, SetOptions, check_places, read_sets
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.require import JudgeOptions
from ngdiff.cli.task import TaskOptions
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.data import EvaluationSet, Row, Template, benchmark_sets
from ngdiff.errors import InputError
from ngdiff.evaluation.lm_harness import check_harness_tasks, parse_harness_arguments
from ngdiff.evaluation.processes import launched_as_several
from ngdiff.manifest import describe_data
from ngdiff.modeling import adapter_base
from ngdiff.option import check_choice
from ngdiff.ranges import COUNT, Range
from ngdiff.tasks.text_options import switch_word

if TYPE_CHECKING:
    from ngdiff.evaluation import EvaluationResult
    from ngdiff.evaluation.processes import Processes
    from ngdiff.evaluation.prompts import Generator
    from ngdiff.evaluation.work import Work


@dataclass
class BenchmarkOptions:
    """Published sets, instead of your own rows or in addition to them."""

    benchmark: str | None = option(
        None, help="tofu or muse-news, from the hub or, with :FOLDER or :HUB_NAME, from a copy", value="NAME[:WHERE]"
    )
    split: str = option("forget10", help="what a model of TOFU forgot: forget01, forget05, forget10")
    benchmark_rows: int = option(
        300, help="first rows of a benchmark's set; TOFU's authors and facts: all", accepted=COUNT
    )
    sets: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None, help="only these sets, of those that were given or that the benchmark has", value="NAME"
    )


@dataclass
class EvaluateOptions:
    """How to evaluate, and where results go."""

    output: str | None = option(
        None,
        help="folder for metrics.json and the records, which hold texts; none: the table alone",
        value="DIR",
    )
    overwrite: bool = option(False, help="replace what an earlier evaluation wrote there")
    resume: bool = option(False, help="continue an evaluation that was killed")
    template: str = option(
        "auto", help="how a question is put: auto, plain, chat, or a text with {question} and {answer}"
    )
    max_length: int | None = option(
        None,
        help="longest row in tokens (the benchmark's, else the model's context; 2048 where it states none)",
        accepted=Range(2, COUNT.largest),
    )
    max_new_tokens: int | None = option(
        None,
        help="longest generated answer in tokens, as far as the model's context goes (the benchmark's, else the "
        "longest reference answer of each set, of a text as many as it has left)",
        accepted=Range(1, 1_000_000),
    )
    prompt_tokens: str = option(
        "auto",
        help="first tokens of a text that are its prompt, the rest being what is compared; auto: 50, of a text of "
        "fewer than 100 half; 0: none",
        value="N",
    )
    tokens_per_batch: int = option(4096, help="tokens of a batch, padding included", accepted=COUNT)
    speed: str = option(
        "auto",
        help="auto: what several answers begin with, such as their prompt, is computed once, where it changes nothing "
        "on the run's first rows; off: the plain pass",
    )


@dataclass
class MeasureOptions:
    """Options that take more or less time."""

    generate: bool = option(True, help="answer the prompts; without it there is no ROUGE")
    generator: str = option("transformers", help="what answers: transformers, or vllm (an extra, on GPUs)")
    lowercase: bool = option(False, help="score lower-cased answers, too, for membership inference")
    base_model: str | None = option(
        None, help="score the answers under this model, too, for membership inference", value="DIR_OR_NAME"
    )
    grad_norm: bool = option(False, help="norm of each answer's gradient, for membership inference; slow")
    lm_eval: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None,
        help="run lm-evaluation-harness (an extra) with these arguments: tasks=A,B num_fewshot=0 limit=100 ...",
        value="ARGUMENT=VALUE",
    )


@dataclass
class TextEvaluateOptions(
    TaskOptions,
    TextModelOptions,
    SetOptions,
    ProtectOptions,
    BenchmarkOptions,
    EvaluateOptions,
    JudgeOptions,
    MeasureOptions,
):
    """All of them."""


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
        self._harness = _check(options)
        base = () if options.base_model is None else inputs_of(options.base_model)
        own = (options.forget, options.retain, options.holdout, options.protect)
        sources = (*own, options.benchmark, options.chat_template)
        self.inputs = inputs_of(options.model, *sources) + list(base)

    def open_inputs(self) -> None:
        """The user's own rows."""
        self._own = read_sets(self.options)
        if not self._own and self.options.benchmark is None and self.options.lm_eval is None:
            raise InputError("ngdiff evaluate needs rows: --forget, --retain, --holdout or --benchmark")
        check_places(self.options.model, self.options.base_model)

    def read(self) -> None:
        """The benchmark's rows, tokenizers and templates."""
        self.sets = _sets(self.options, self._own)
        self._tokenizer, self._template = self._with_template(self.options.model)
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
            self._model, options.max_length, options.max_new_tokens, _prompt_tokens(options.prompt_tokens)
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


def _check(options: TextEvaluateOptions) -> dict[str, Any] | None:
    """Options that cannot be used, contradict each other or lack a package; the arguments of the harness."""
    _prompt_tokens(options.prompt_tokens)
    options.speed = switch_word(options.speed)
    check_choice("--speed", options.speed, ("auto", "off"))
    if options.resume and options.output is None:
        raise InputError("--resume needs --output: the folder of the evaluation that was killed")
    check_choice("--generator", options.generator, ("transformers", "vllm"))
    one_process = {"--generator vllm": options.generator == "vllm", "--lm-eval": options.lm_eval is not None}
    for name, given in one_process.items():
        if given and launched_as_several():
            raise InputError(f"{name} runs in one process; evaluate in several without it")
    if options.generator == "vllm":
        from ngdiff.evaluation.vllm import check_vllm

        check_vllm()
        if options.lm_eval is not None:
            raise InputError("--generator vllm and --lm-eval would share a GPU; evaluate twice, once with each")
        if adapter_base(options.model) is not None:
            raise InputError("--generator vllm: give a whole model, not an adapter")
    if options.lm_eval is None:
        return None
    harness = parse_harness_arguments(options.lm_eval)
    check_harness_tasks(harness)
    return harness


def _prompt_tokens(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"--prompt-tokens {text} is not auto or a number, 0 or more")
    return int(text)


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
