"""`ngdiff demo`: learn, forget, and compare with never having learned, on built-in data."""

from dataclasses import dataclass

from ngdiff.cli.loading import load_torch
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.data.people_questions import KINDS, MOST_PEOPLE
from ngdiff.errors import InputError
from ngdiff.files import check_output
from ngdiff.modeling import SHAPES
from ngdiff.ranges import SEED, Range


@dataclass
class DemoOptions:
    """What the demo makes, and of which size."""

    output: str = option("demo-output", help="folder for data, models, table and curves", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier run wrote there")
    people: int = option(
        80, help="fictional people; 10 %% of them are forgotten", accepted=Range(10, MOST_PEOPLE * 10 // 14)
    )
    questions: int = option(5, help="questions about each of them", accepted=Range(1, len(KINDS)))
    shape: str = option("llama-micro", help="shape of the model, trained from random weights", value="SHAPE")
    seed: int = option(0, help="seed of everything that is drawn", accepted=SEED)


PARSER = CommandParser(
    "demo",
    "Make up people, train a small model until it recites what is asked about them, make it forget every tenth, "
    "and show before, after, and a model that never learned of them.",
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
    if options.shape not in SHAPES:
        raise InputError(f"--shape {options.shape} is not known; one of {', '.join(SHAPES)}")
    check_output(options.output, overwrite=options.overwrite, resumable=False)
    load_torch()

    import torch

    from ngdiff.cli.demo_run import demo

    threads = torch.get_num_threads()
    # The model is so small that a pool of threads costs more than it gives: 37 s against 191 s on two busy cores.
    torch.set_num_threads(1)
    try:
        demo(words, options)
    finally:
        torch.set_num_threads(threads)
