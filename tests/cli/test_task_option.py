"""Which task a command line asks for."""

from pathlib import Path

import pytest

from ngdiff.cli import main
from ngdiff.cli.task_option import task_of
from ngdiff.cli.tasks import TASKS
from ngdiff.errors import InputError
from ngdiff.exit_codes import BAD_INPUT


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ([], "text"),
        (["--model", "m"], "text"),
        (["--task", "image"], "image"),
        (["--model", "m", "--task=image", "--help"], "image"),
        (["--task", "image", "--task=text"], "text"),
        (["--config", "absent.yaml"], "text"),  # the parser says that there is none
        (["--task"], "text"),  # the parser says that a value is missing
    ],
)
def test_task_on_the_command_line(words, task):
    assert task_of(words) == task


def test_task_in_a_config_file(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("task: image\nmodel: m\n")
    assert task_of(["--config", str(file)]) == "image"
    assert task_of([f"--config={file}", "--task", "text"]) == "text"
    file.write_text("[no: yaml")
    assert task_of(["--config", str(file)]) == "text"


def test_another_task():
    with pytest.raises(InputError, match="--task sound is not known; one of text, image"):
        task_of(["--task", "sound"])


@pytest.mark.parametrize("command", ["finetune", "unlearn", "evaluate"])
def test_images_are_refused_in_several_processes(command, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = [command, "--task", "image", "--model", "resnet20-cifar", "--dataset", "none.npz"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    assert "--task image runs in one process, and 2 were started" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["check", "audit"])
def test_commands_for_texts_alone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--task", "image"]) == BAD_INPUT
    assert f"ngdiff {command} is for language models and their rows alone" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["unlearn", "finetune", "evaluate"])
def test_options_of_the_other_task_are_called_so(command: str) -> None:
    """They were called misspelt: `--forget-class` without `--task image` was to be `--forget-columns`."""
    text, image = (getattr(TASKS[task], command).parser for task in ("text", "image"))
    for parser, option, reason in (
        (text, "--forget-class", "is for images: give --task image"),
        (image, "--chunk-tokens", "is for texts; --task image does not have it"),
    ):
        with pytest.raises(InputError, match=f"^{option} {reason}$"):
            parser.parse([option, "3"])
        with pytest.raises(InputError, match=f"^FILE: {option} {reason}$"):
            parser.words_of({option.removeprefix("--"): 3}, "FILE")
    with pytest.raises(InputError, match="--forget-clas is no option of"):
        text.parse(["--forget-clas", "3"])


def test_a_batch_size_stands_for_other_options() -> None:
    with pytest.raises(
        InputError, match="--batch-size is no option of ngdiff evaluate; did you mean --tokens-per-batch"
    ):
        TASKS["text"].evaluate.parser.parse(["--batch-size", "8"])
