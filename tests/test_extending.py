"""Every recipe of docs/extending.md, run as it stands there: its module, and the use that it shows of it.

The recipe of a task has tests of its own in `tests/tasks/test_documented_task.py`.
"""

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ngdiff import UnlearnConfig, UnlearnTrainer
from ngdiff.cli import main
from ngdiff.cli.main import COMMANDS
from ngdiff.core import Gramian
from ngdiff.core.answers import Answers
from ngdiff.data import fictional_people, read_rows, resolve_template
from ngdiff.data.benchmarks import BENCHMARKS
from ngdiff.errors import InputError
from ngdiff.evaluation import evaluate
from ngdiff.metrics import METRICS
from ngdiff.modeling import build_model, load_model, save_model, train_tokenizer
from ngdiff.objectives import FORGET_OBJECTIVES
from ngdiff.objectives.resolve import resolve_objective
from ngdiff.weighting import Losses, weigh
from ngdiff.weighting.resolve import resolve_weighting

TEXT = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (\w.*?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE))


def code_of(recipe: str) -> tuple[str, str]:
    """File name and text of a recipe's module."""
    ((path, code),) = re.findall(r"```python\n(?=# (\S+\.py)\n)(.*?)```", RECIPES[recipe], flags=re.DOTALL)
    return Path(path).name, code


def use_of(recipe: str) -> str:
    """The lines behind a recipe's module that show how it is used."""
    behind = RECIPES[recipe].rpartition("```")[2]
    (block,) = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", behind, flags=re.MULTILINE)
    return textwrap.dedent(block).strip()


def option_of(recipe: str, name: str) -> str:
    """The value of an option in the command line that a recipe shows."""
    words = shlex.split(use_of(recipe))
    return words[words.index(name) + 1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which modules are imported from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def module_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """`module_of(recipe)`: its module, written to the current folder and imported."""

    def write(recipe: str) -> ModuleType:
        file, code = code_of(recipe)
        (place / file).write_text(code, encoding="utf-8")
        name = file.removesuffix(".py")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return import_module(name)

    return write


@pytest.fixture
def tables() -> Iterator[None]:
    """What a recipe adds to a table is gone afterwards."""
    kept = [(table, dict(table)) for table in (*METRICS.values(), BENCHMARKS)]
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


@pytest.fixture
def names(place: Path) -> dict[str, Any]:
    """The names that a recipe's use supposes."""
    people = [{name: row[name] for name in ("question", "answer")} for row in fictional_people(2, questions=2)]
    tokenizer = train_tokenizer([text for row in people for text in row.values()], vocab_size=300)
    args = UnlearnConfig(
        output_dir="out", use_cpu=True, disable_tqdm=True, report_to=[], save_strategy="no", max_steps=2
    )
    model = build_model("llama-micro", tokenizer)
    return {"model": model, "tokenizer": tokenizer, "args": args, "forget": people[:2], "retain": people[2:]}


def run_use(recipe: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(use_of(recipe), f"docs/extending.md, {recipe}", "exec"), names)
    return names


def test_there_are_eight_recipes():
    kinds = ("weighting", "objective", "metric", "data set", "model family", "command", "task", "optimizer")
    assert [name.split(" ", 1)[1] for name in RECIPES] == list(kinds)
    linked = re.findall(r"^\| \[(.+?)\]\(#an?-([\w-]+)\)", TEXT, flags=re.MULTILINE)
    assert [(name, name.replace(" ", "-")) for name in kinds] == linked


def test_weighting(module_of):
    module_of("A weighting")
    weighting = resolve_weighting(option_of("A weighting", "--weighting"))
    assert weighting.parameters == {"power": 0.5}
    assert not weighting.uses_dot
    # |g_r| = 2, |g_f| = 3: each to the power of -1/2.
    found = weigh(weighting, Losses(1.0, -1.0), Gramian(a=4.0, s=1.0, b=9.0))
    assert found == pytest.approx((2**-0.5, 3**-0.5))


def test_objective(module_of):
    module_of("An objective")
    word = option_of("An objective", "--forget-objective")
    objective = resolve_objective(word, FORGET_OBJECTIVES, "--forget-objective")
    assert objective(Answers(torch.tensor([1.0, 9.0]), torch.tensor([0, 0]), rows=1)).item() == -6.0
    assert objective.unit == "token"


def test_metric(module_of, tables, place, capsys):
    answers = {"forget": ["I don't know.", "In Tarnholm."], "retain": ["In Tarnholm.", "In Orvik."]}
    for name, texts in answers.items():
        records = [
            {"set": name, "index": i, "reference": "In Orvik.", "generated": text, "nll_sum": 1.0, "n_tokens": 2}
            for i, text in enumerate(texts)
        ]
        (place / "OUT" / "private").mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (place / "OUT" / "private" / f"records_{name}.jsonl").write_text(lines)
    module_of("A metric")
    numbers = run_use("A metric", {})["numbers"]
    assert [numbers[name]["refusal_rate"] for name in answers] == [0.5, 0.0]
    assert "refusal_rate" in numbers["confidence"]["sets"]["forget"]
    assert "refusal rate" in capsys.readouterr().out


@pytest.fixture
def quiz(place: Path, names: dict[str, Any]) -> None:
    """The files that the data set's recipe reads."""
    (place / "quiz").mkdir()
    for name in ("forget", "retain"):
        lines = "".join(f"{row['question']}\t{row['answer']}\n" for row in names[name])
        (place / "quiz" / f"{name}.tsv").write_text(lines)


def test_data_set(module_of, tables, quiz, names, monkeypatch):
    module = module_of("A data set")
    assert module.quiz_rows("quiz/forget.tsv") == names["forget"]
    assert {name: len(found.rows) for name, found in module.quiz_sets("quiz", "", 1).items()} == {
        "forget": 1,
        "retain": 1,
    }
    monkeypatch.setattr("ngdiff.UnlearnConfig", lambda output_dir: names["args"])  # few steps
    used = run_use("A data set", names)
    assert used["model"] is names["model"]
    assert [row.prompt for row in used["sets"]["retain"].rows] == [row["question"] for row in used["retain"]]
    with pytest.raises(InputError, match="quiz needs its folder"):
        used["benchmark_sets"]("quiz")


def test_benchmark_on_the_command_line(module_of, tables, quiz, place, names):
    save_model(names["model"], names["tokenizer"], place / "model")
    module_of("A data set")
    assert main(["evaluate", "--model", "model", "--benchmark", "quiz:quiz", "--output", "scores"]) == 0
    metrics = json.loads((place / "scores" / "metrics.json").read_text())
    assert metrics["forget"]["n"] == metrics["retain"]["n"] == 2


def test_model_family(module_of, place, names, monkeypatch):
    for name in ("forget", "retain"):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in names[name]))
    module = module_of("A model family")
    try:
        tokenizer = names["tokenizer"]
        torch.manual_seed(0)
        model = module.GRUForCausalLM(module.GRUConfig(vocab_size=len(tokenizer), hidden_size=16))
        save_model(model, tokenizer, place / "gru-folder")
        monkeypatch.setattr("ngdiff.UnlearnConfig", lambda output_dir: names["args"])  # few steps
        monkeypatch.setattr("ngdiff.UnlearnTrainer", kept(trainers := []))
        run_use("A model family", {})
        trained = trainers[0].model
        assert type(trained) is module.GRUForCausalLM
        assert not torch.equal(trained.head.weight, model.head.weight)
        rows = read_rows(names["forget"])
        loaded = load_model("gru-folder", dtype="float32")
        found = evaluate(loaded, tokenizer, {"forget": rows}, resolve_template("auto", tokenizer, rows))
        assert found.metrics["forget"]["n"] == len(rows)
    finally:
        CONFIG_MAPPING._extra_content.pop(module.GRUConfig.model_type)
        AutoModelForCausalLM._model_mapping._extra_content.pop(module.GRUConfig)


def kept(trainers: list[Any]) -> Callable[..., Any]:
    """`UnlearnTrainer`, each of which is put into a list."""

    def make(*args: Any, **kwargs: Any) -> Any:
        trainers.append(UnlearnTrainer(*args, **kwargs))
        return trainers[-1]

    return make


def test_command(place, monkeypatch, capsys):
    file, code = code_of("A command")
    (place / file).write_text(code, encoding="utf-8")
    monkeypatch.setattr("ngdiff.cli.__path__", [*import_module("ngdiff.cli").__path__, str(place)])
    for name, row in eval("{" + use_of("A command") + "\n}").items():
        monkeypatch.setitem(COMMANDS, name, row)
    people = fictional_people(3, questions=2)
    (place / "forget.jsonl").write_text("".join(json.dumps(row) + "\n" for row in people))
    try:
        assert main(["count", "--words", "forget.jsonl"]) == 0
        words = sum(len(row["answer"].split()) for row in people)
        assert capsys.readouterr().out == f"forget.jsonl: {len(people)} rows, {words} words\n"
        assert main(["count", "--help"]) == 0
        assert "--words" in capsys.readouterr().out
        assert main(["count", "--letters", "forget.jsonl"]) == 2
        assert "--letters is no option of ngdiff count" in capsys.readouterr().err
        assert main(["count", "nowhere.jsonl"]) == 2
        assert main(["--help"]) == 0
        assert COMMANDS["count"][1] in capsys.readouterr().out
    finally:
        sys.modules.pop("ngdiff.cli.count", None)


def test_optimizer(module_of, names, monkeypatch):
    module = module_of("An optimizer")
    monkeypatch.setattr("ngdiff.UnlearnTrainer", kept(trainers := []))
    run_use("An optimizer", names)
    (trainer,) = trainers
    assert type(trainer.bare_optimizer) is module.SignMomentum
    assert [probe["step"] for probe in trainer.run_state.probes] == [1]
    assert trainer.run_state.probes[0]["accepted"]


def test_optimizer_steps_as_its_docstring_says(module_of):
    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0, 0.5]))
    optimizer = module_of("An optimizer").SignMomentum([weight], lr=0.1, beta=0.9)
    for gradient in ([2.0, -1.0, 0.0], [-0.5, -1.0, 0.0]):  # the averages: (0.2, -0.1, 0), then (0.13, -0.19, 0)
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    assert weight.tolist() == pytest.approx([0.8, -0.8, 0.5])
