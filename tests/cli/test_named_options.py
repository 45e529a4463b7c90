"""A value of a form of its own that cannot be read: the message begins with the option that holds it."""

from pathlib import Path

import pytest

from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.text_finetuning import TextFinetuning
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig

NEEDED = ["--model=m", "--forget=f", "--retain=r", "--output=o"]
UNREADABLE = [
    *(("--method", value) for value in ("ngdiff(", "../x", "npo(beta=-1)", "npo(x=1)", "a+b(", "npo+gdiff(c=7)")),
    *(("--weighting", value) for value in ("ngdiff(", "../x", "gdiff(c)", "gdiff(c={[]:1})", f"gdiff(c={'(' * 3000})")),
    *(("--forget-objective", value) for value in ("npo(", "../x", "npo(beta=-1)", "npo(x=1)", "npo(beta='\0')")),
    *(("--retain-objective", value) for value in ("kl(", "../x", "kl(x=1)", "no_such_module:f")),
    *(("--optim-args", value) for value in ("x", "=1", "a=", "a=1=2", "a=1,")),
    *(("--lr-scheduler-kwargs", value) for value in ("x", "[1]", '{"a"')),
    *(("--activation-checkpointing-kwargs", value) for value in ("x", "{")),
    *(("--torch-compile-backend", "x"), ("--torch-compile-mode", "x"), ("--save-strategy", "sometimes")),
]


def refused(*words: str) -> str:
    parser = TextUnlearning.parser
    with pytest.raises(InputError) as caught:
        parser.build(UnlearnConfig, parser.parse([*NEEDED, *words]) or {}, output_dir="o")
    return str(caught.value)


@pytest.mark.parametrize(("option", "value"), UNREADABLE)
def test_the_option_is_named(option: str, value: str) -> None:
    assert refused(f"{option}={value}").startswith(f"{option} ")


def test_a_value_that_the_optimizer_cannot_read() -> None:
    said = refused("--optim", "rmsprop", "--optim-args", "momentum=x")
    assert said.startswith("--optim-args momentum=x with --optim rmsprop: could not convert")


# ---- nothing where there should be something ------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize(
    "option", ["model", "forget", "retain", "holdout", "output", "template", "lora-target-modules"]
)
def test_an_empty_value(option: str, value: str) -> None:
    # The last one counts: what was given before it is no way out.
    needed = [word for word in NEEDED if not word.startswith(f"--{option}")]
    with pytest.raises(InputError, match=f"^--{option} is empty"):
        TextUnlearning.parser.parse([*needed, f"--{option}", value])


def test_an_empty_value_of_a_config_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text('model: ""\n')
    with pytest.raises(InputError, match=r"^--model is empty"):
        TextUnlearning.parser.parse([*NEEDED[1:], "--config", str(tmp_path / "c.yaml")])


def test_an_empty_word(commands: dict[str, CommandParser]) -> None:
    for name, parser in commands.items():
        with pytest.raises(InputError, match=f"^one of {name.upper()}... is empty"):
            parser.parse(["a", ""])


@pytest.fixture
def commands() -> dict[str, CommandParser]:
    from ngdiff.cli import compare, score

    return {"records": score.PARSER, "run": compare.PARSER}


def test_train_given_twice() -> None:
    with pytest.raises(InputError, match=r"^--train is given twice, and one would be left out"):
        TextFinetuning.parser.parse(["--model=m", "--train=a", "--train=b", "--output=o"])
