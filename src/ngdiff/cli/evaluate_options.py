"""Options of `ngdiff evaluate` for language models, and their checks before anything is read."""

from dataclasses import dataclass
from typing import Any

from ngdiff.cli.options import ProtectOptions, SetOptions
from ngdiff.cli.parsing import option
from ngdiff.cli.require import JudgeOptions
from ngdiff.cli.task_option import TaskOptions
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.lm_harness import check_harness_tasks, parse_harness_arguments
from ngdiff.evaluation.processes import launched_as_several
from ngdiff.modeling import adapter_base
from ngdiff.option import check_choice, dashed
from ngdiff.ranges import COUNT, Range
from ngdiff.tasks.text_options import switch_word


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
    tokens_per_batch: int = option(TOKENS_PER_BATCH, help="tokens of a batch, padding included", accepted=COUNT)
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


def check_evaluation(options: TextEvaluateOptions) -> dict[str, Any] | None:
    """The arguments of the harness, if it was asked for.

    Raises:
        InputError: options that cannot be used, contradict each other, change nothing or lack a package.
    """
    prompt_tokens_of(options.prompt_tokens)
    _check_idle(options)
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


def _check_idle(options: TextEvaluateOptions) -> None:
    benchmark = (options.benchmark or "").partition(":")[0]
    idle = {
        "split": "without --benchmark tofu" if benchmark in ("", "muse-news") else "",
        "benchmark_rows": "without --benchmark" if not benchmark else "",
        "max_new_tokens": "with --no-generate: nothing is answered" if not options.generate else "",
        "generator": "with --no-generate: nothing is answered" if not options.generate else "",
    }
    for name, why in idle.items():
        value = getattr(options, name)
        if why and value != getattr(TextEvaluateOptions, name):
            raise InputError(f"{dashed(name)} {value} changes nothing {why}; leave it out")


def prompt_tokens_of(text: str) -> int | None:
    """The number of `--prompt-tokens`; None for auto.

    Raises:
        InputError: neither.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"--prompt-tokens {text} is not auto or a number, 0 or more")
    return int(text)
