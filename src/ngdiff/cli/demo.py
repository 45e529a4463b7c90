"""`ngdiff demo`: learn, forget, and compare with a model that never learned the rows, on built-in data."""

from dataclasses import dataclass

from ngdiff.cli.loading import load_torch
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.data.people_questions import KINDS, MOST_PEOPLE
from ngdiff.modeling import SHAPES
from ngdiff.option import check_choice
from ngdiff.output_folder import check_output
from ngdiff.ranges import SEED, Range


@dataclass
class DemoOptions:
    """Size and output of the demo."""

    output: str = option("demo-output", help="folder for data, models, table and curves", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier run wrote there")
    people: int = option(
        80, help="fictional people; 10 %% of them are forgotten", accepted=Range(10, MOST_PEOPLE * 10 // 14)
    )
    questions: int = option(5, help="questions about each of them", accepted=Range(1, len(KINDS)))
    shape: str = option("llama-micro", help="shape of the model, trained from random weights", value="SHAPE")
    seed: int = option(0, help="seed of all random draws", accepted=SEED)


PARSER = CommandParser(
    "demo",
    "Invent people, train a small model until it recites the answers about them, make it forget one in ten, and "
    "compare it with the model before and with a model that never saw these people.",
    {"demo": DemoOptions},
    required=(),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options that cannot be used.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: DemoOptions = PARSER.build(DemoOptions, values)
    check_choice("--shape", options.shape, SHAPES)
    check_output(options.output, overwrite=options.overwrite, resumable=False)
    load_torch()

    import torch

    from ngdiff.cli.demo_run import demo

    threads = torch.get_num_threads()
    # For so small a model, a thread pool costs more than it gains: 37 s without, 191 s with it on two busy cores.
    torch.set_num_threads(1)
    try:
        demo(words, options)
    finally:
        torch.set_num_threads(threads)
