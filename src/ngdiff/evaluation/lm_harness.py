"""General abilities, measured by lm-evaluation-harness (Gao et al.): an extra, `ngdiff[lm-eval]`."""

import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ngdiff.errors import InputError

# What ngdiff fills in, and what would write outside metrics.json.
_OURS = ("model", "model_args", "task_manager", "evaluation_tracker", "log_samples", "device")


def parse_harness_arguments(words: Sequence[str]) -> dict[str, Any]:
    """`tasks=hellaswag,arc_easy num_fewshot=5 limit=100` as arguments of the harness's `simple_evaluate`.

    Values are read as YAML (numbers, true, false, texts); `tasks` is a list with commas between. `include_path` is
    the folder of task files that the harness uses in addition to its own.

    Raises:
        InputError: the harness is not installed, a word without `=`, an argument that the harness does not take or
            that ngdiff fills in itself, or no tasks.
    """
    accepted = [name for name in inspect.signature(_harness().simple_evaluate).parameters if name not in _OURS]
    accepted.append("include_path")
    arguments: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in accepted:
            raise InputError(f"--lm-eval {word}: give ARGUMENT=VALUE; arguments are {', '.join(sorted(accepted))}")
        try:
            arguments[name] = text.split(",") if name == "tasks" else yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--lm-eval {word}: the value is not a number, true, false or a text") from error
    if not arguments.get("tasks") or not all(arguments["tasks"]):
        raise InputError("--lm-eval needs tasks=NAME[,NAME...]")
    return arguments


def check_harness_tasks(arguments: Mapping[str, Any]) -> None:
    """Refuse tasks that the harness does not know, before any long work.

    Raises:
        InputError: names them.
    """
    manager = _task_manager(arguments)
    unknown = [task for task in arguments["tasks"] if not manager.match_tasks([task])]
    if unknown:
        raise InputError(
            f"--lm-eval: lm-evaluation-harness knows no task {', '.join(unknown)}; `lm_eval ls tasks` lists them, and "
            "include_path=DIR adds those of a folder"
        )


def run_harness(model: Any, tokenizer: Any, arguments: Mapping[str, Any], *, batch_size: int = 16) -> dict[str, Any]:
    """The harness's numbers by task: `{"arc_easy": {"acc,none": 0.61, "acc_stderr,none": 0.01, ...}}`.

    The model is the one in memory, with its own tokenizer and precision. Names of numbers are the harness's; entries
    that are no finite number (aliases, errors that were not estimated) are left out.

    Args:
        model, tokenizer: As loaded; in evaluation mode.
        arguments: Of `parse_harness_arguments`.
        batch_size: Where the arguments do not say.

    Raises:
        InputError: a task's data cannot be loaded.
    """
    harness = _harness()
    from lm_eval.models.huggingface import HFLM

    options = {name: value for name, value in arguments.items() if name != "include_path"}
    size = options.pop("batch_size", batch_size)
    try:
        found = harness.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size),
            task_manager=_task_manager(arguments),
            log_samples=False,
            **options,
        )
    except (OSError, ValueError) as error:  # no connection, an argument of a kind that the harness refuses
        raise InputError(f"--lm-eval: lm-evaluation-harness cannot run this: {error}") from error
    return {
        task: {name: value for name, value in numbers.items() if _is_number(value)}
        for task, numbers in found["results"].items()
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _task_manager(arguments: Mapping[str, Any]) -> Any:
    return _tasks_of(arguments.get("include_path"))


@functools.cache  # it reads thousands of task files
def _tasks_of(include_path: str | None) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=include_path)


def _harness() -> Any:
    try:
        import lm_eval
    except ImportError as error:
        raise InputError("--lm-eval needs lm-evaluation-harness: pip install 'ngdiff[lm-eval]'") from error
    return lm_eval
