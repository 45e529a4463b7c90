"""YAML that is none, or more than it seems: one line of error, soon, and little memory."""

import os
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ngdiff.cli.config_file import read_config
from ngdiff.cli.task_option import task_of
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.errors import InputError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 12)
)


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "run.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_values(tmp_path: Path, start: str) -> None:
    text = "seed: 1\nreport_to: [a, b]\nbase: &base {x: 1}\nlr_scheduler_kwargs: {<<: *base, y: 2}\n"
    assert read_config(written(tmp_path, start + text)) == {
        "seed": 1,
        "report_to": ["a", "b"],
        "base": {"x": 1},
        "lr_scheduler_kwargs": {"x": 1, "y": 2},
    }
    assert read_config(written(tmp_path, "# nothing\n")) == {}


def test_numbers_are_read_as_typed(tmp_path: Path) -> None:
    text = "a: 012\nb: -3\nc: 1:30\nd: 0x10\ne: 1.5\nf: .5\ng: 1:30.5\nh: 1.0e-4\ni: 0b1\n"
    values = {"a": 12, "b": -3, "c": "1:30", "d": "0x10", "e": 1.5, "f": 0.5, "g": "1:30.5", "h": 1e-4, "i": "0b1"}
    assert read_config(written(tmp_path, text)) == values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seed: 1\nmodel: m\nseed: 2\n", "is not YAML: seed is given twice, again in line 3"),
        ("seed: " + "1" * 5000, "is not YAML: Exceeds the limit"),
        ("model: 2001-99-99", "is not YAML: month must be in 1..12"),
        ("[" * 1000, "is not YAML: nested too deeply"),
        (b"model: \xff", "is not YAML: 'utf-8' codec can't decode byte 0xff"),
        ("model: a\0b", "is not YAML: unacceptable character #x0000"),
        ("model: !!python/object/apply:os.system [ls]", "is not YAML: could not determine a constructor"),
        ("- 1", "holds no `option: value` lines but a list"),
        (BOMB, "more than 10,000 values, repeated ones counted again"),
        ("seed: &a [*a]", "more than 10,000 values"),
        ("#" * (1 << 16) + "\n", "65,537 bytes; a file of options has at most 65,536"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(InputError, match=f"^--config {re.escape(file)}:? .*{re.escape(message)}"):
        read_config(file)
    assert task_of(["--config", file]) == "text"  # and the parser says what is wrong


@pytest.mark.parametrize("content", [BOMB, "seed: &a [*a]"])
def test_a_few_lines_that_stand_for_billions_take_no_memory(tmp_path: Path, content: str) -> None:
    file = written(tmp_path, content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"more than 10,000 values, repeated ones counted again"):
            read_config(file)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report_to: [a, [b]]", "report_to holds a list, which is no value of an option"),
        ("report_to: [a, {b: c}]", "report_to holds a dict, which is no value of an option"),
        ("model: !!set {a}", "model holds a set, which is no value of an option"),
        ("model: !!binary aGk=", "model holds a bytes, which is no value of an option"),
        ("lr_scheduler_kwargs: {a: 2001-01-01}", "lr_scheduler_kwargs holds a mapping of which no JSON"),
        ("max_steps: 1\nmax-steps: 2", "max-steps is given twice"),
        ('template: "\\ud83d"', "is not UTF-8 text"),
        ("model: ~nosuchuser/m", "there is no home directory of that name"),
        ("1: 2", "1 is no option of ngdiff unlearn"),
        ("null: 2", "None is no option of ngdiff unlearn"),
        ("? [a]\n: 2", "is not YAML: while constructing a mapping"),
    ],
)
def test_values_that_no_option_has(tmp_path: Path, line: str, message: str) -> None:
    from ngdiff.modeling import load_tokenizer

    needed = {"model": "m", "forget": "f", "retain": "r", "output": "o"}
    rest = "".join(f"{name}: {value}\n" for name, value in needed.items() if not line.startswith(name))
    with pytest.raises(InputError, match=re.escape(message)):  # noqa: PT012
        values = TextUnlearning.parser.parse(["--config", written(tmp_path, rest + line + "\n")])
        load_tokenizer(str(values["model"]))


def test_files_that_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file, kind in (
        (str(tmp_path / "pipe"), "a named pipe"),
        ("/dev/zero", "a device"),
        (str(tmp_path), "a folder"),
    ):
        with pytest.raises(InputError, match=f"^--config {file}: is no regular file but {kind}$"):
            read_config(file)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:- \n\t[]{}&*!|>'\"#%@`,?0123.\\~<\u00e9\ud83d\x00")), max_size=60))
@example("a: &b [*b]")
@example("%YAML 9.9\n---\na")
@example("a: !!timestamp 1")
@example("a: !!int x")
@example("a: !!float x")
@example("a: !!bool x")
@example("a: 1__")
@example("a: 0b")
@example("a: 190:20:x")
@example("=: 1")
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = written(tmp_path_factory.mktemp("yaml"), text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(read_config(file), dict)
    except InputError:
        return
