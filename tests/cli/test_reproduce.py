"""`ngdiff reproduce`: what it plans, refuses and writes. No command is run here but in the slow test."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ngdiff.cli import main, reproduce
from ngdiff.cli.reproduce_data import prepare
from ngdiff.data import read_rows
from ngdiff.data.people import fictional_people
from ngdiff.errors import InputError
from ngdiff.exit_codes import BAD_INPUT, DONE, SWEEP_INCOMPLETE
from ngdiff.sweep import Record, Result

from ..recipes.runs import made_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the data sets as `--data` takes them, made up."""
    folder = tmp_path_factory.mktemp("data")
    rows = fictional_people(25)
    (folder / "tofu").mkdir()
    for name in ("forget10", "forget10_perturbed"):
        (folder / "tofu" / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for part in ("raw/forget", "privleak/retain"):
        file = folder / "muse_news" / f"{part}.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps([f"{part} {number} " + "word " * 70 for number in range(90)]))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    train, test = np.repeat(np.arange(10), 50), np.repeat(np.arange(10), 9)
    images = {f"x_{part}": np.zeros((len(own), 8, 8, 3), np.uint8) for part, own in (("train", train), ("test", test))}
    np.savez(folder / "cifar10.npz", **images, y_train=train, y_test=test, class_names=np.array(names))
    return folder


class Work:
    """In place of the commands: numbers and logs as they would leave them."""

    failed = ""  # name of a job

    def __call__(self, record: Record, *, at_once: int) -> None:
        for job in record.jobs:
            lacking = any(record.results[need].status != "done" for need in job.needs)
            status: Any = "left out" if lacking else "failed" if job.name == self.failed else "done"
            record.results[job.name] = Result(status, None if lacking else int(status == "failed"))
            if status == "done":
                place = record.folder / job.entry / "model"
                made = made_run(place, job.entry, 0.25)
                for file in (record.folder / job.entry / "metrics.json", place.parent / "evaluation" / "metrics.json"):
                    file.parent.mkdir(exist_ok=True)
                    file.write_text(json.dumps(made.metrics))
        record.write()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work()
    monkeypatch.setattr(reproduce, "carry_out", made)
    return made


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["reproduce", *map(str, words)]) == BAD_INPUT
    return capsys.readouterr().err.removeprefix("ngdiff: error: ").rstrip("\n")


def test_a_dry_run_prints_the_commands_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["table1", "figure4", "--output", str(out), "--data", str(data), "--seeds", "0,1", "--dry-run"]
    assert main(["reproduce", *words]) == DONE
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert not out.exists()
    commands = [line[1] for line in lines]
    # Two targets and two retrained models, evaluated; seven methods with two seeds, which both recipes share.
    assert {name: commands.count(name) for name in commands} == {
        "finetune": 4,
        "evaluate": 18,
        "unlearn": 14,
        "score": 14,
    }
    unlearn = next(line for line in lines if "--c=0.5" in line and "--seed=1" in line)
    assert f"--forget={out}/private/tofu/forget.jsonl" in unlearn
    assert unlearn[-1] == f"{out}/data=tofu,model=llama-micro/variant=GDiff-0.5,seed=1/model"


def test_the_precision_of_every_training(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reproduce", "table1", "--output", str(tmp_path / "out"), "--data", str(data), "--dry-run"]
    for more, asked in ((), False), (("--bf16", "--use-cpu"), True):
        assert main([*words, *more]) == DONE
        for command, *rest in (shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines()):
            trains = command in ("finetune", "unlearn")
            assert {"--bf16=true", "--use_cpu=true"}.issubset(rest) == (asked and trains), command


def test_tables_and_figures_of_one_call(
    data: Path, tmp_path: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "table3", "figure7", "--output", str(out), "--data", str(data)]
    assert main(words) == DONE
    told = capsys.readouterr().out
    assert "NGDiff+AutoLR" in told
    assert f"Figure 7: AutoLR against fixed learning rates: {out}/figure7.png" in told
    assert {file.name for file in out.glob("*.*")} == {
        *(f"table3.{form}" for form in ("txt", "md", "tex", "json")),
        *("figure7.png", "figure7.json", "reproduce.json"),
    }
    table = json.loads((out / "table3.json").read_text())
    row = next(row for row in table["rows"] if row["method"] == "LossNorm")
    assert row["numbers"]["Verbmem"] == {"ours": 0.25, "half": None, "paper": 0.432, "difference": 0.25 - 0.432}
    assert any("compare the order of methods, not the values" in note for note in table["notes"])

    assert fails(capsys, *words[1:]).startswith(f"--output {out} is not empty; choose another folder, or give --resume")
    assert main([*words, "--resume", "--seeds", "0,1"]) == DONE
    table = json.loads((out / "table3.json").read_text())
    assert {row["seeds"] for row in table["rows"]} == {2}
    assert fails(capsys, *words[1:], "--resume", "--bf16", "--use-cpu").startswith(
        f"--resume: {out} is of --bf16 False, not True; choose another --output"
    )
    assert fails(capsys, *words[1:], "--resume", "--scale", "paper").startswith(
        f"--resume: {out} is of --scale tiny, not paper; choose another --output"
    )


def test_folders_above_a_model_stand_in_no_table_or_figure(data: Path, tmp_path: Path, work: Work) -> None:
    out, place = tmp_path / "out", tmp_path / "home" / "me"
    words = ["reproduce", "table3", "figure7", "--output", str(out), "--data", str(data)]
    assert main([*words, "--model", f"{place}/one/m", "--model", f"{place}/two/m"]) == DONE
    shown = [file for file in out.glob("*.*") if file.name != "reproduce.json" and file.suffix != ".png"]
    assert len(shown) == 6
    assert not any(str(place) in file.read_text() for file in shown)
    rows = json.loads((out / "table3.json").read_text())["rows"]
    models = {row["model"] for row in rows}
    assert len(models) == 2
    assert all(name.startswith("m~") for name in models)  # names of equal ends have digits


def test_runs_with_the_same_options_are_made_once(data: Path, tmp_path: Path, work: Work) -> None:
    """Table 3 has NGDiff with the rate of the setup, which is one of the rates of figure 7."""
    words = ["figure7", "table3", "--model", "llama-micro", "--scale", "small", "--output", str(tmp_path / "out")]
    assert main(["reproduce", *words, "--data", str(data)]) == DONE
    record = json.loads((tmp_path / "out" / "data=tofu,model=llama-micro" / "sweep.json").read_text())
    variants = [run["values"]["variant"] for run in record["runs"].values() if run["role"] == "run"]
    assert len(variants) == len(set(variants)) == 11
    assert "NGDiff" not in variants
    table = (tmp_path / "out" / "table3.md").read_text()
    assert re.search(r"^\| NGDiff \| 1 \| 0\.250 ", table, flags=re.MULTILINE)
    figure = json.loads((tmp_path / "out" / "figure7.json").read_text())
    assert "NGDiff-lr5e-5" in json.dumps(figure)


def test_a_failed_run_is_said_in_the_table_and_by_the_exit_code(
    data: Path, tmp_path: Path, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    work.failed = "unlearn variant=NPO,seed=0"
    assert main(["reproduce", "table2", "--output", str(tmp_path), "--data", str(data)]) == SWEEP_INCOMPLETE
    out, err = capsys.readouterr()
    assert "llama-micro, muse-news, NPO: no numbers: unlearn failed with exit code 1" in out
    assert "3 of 25 commands failed or lack one that failed (variant=NPO,seed=0)" in err


def test_models_in_place_of_the_scales(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["figure5", "--output", tmp_path / "out", "--data", data, "--dry-run"]
    assert main(list(map(str, ["reproduce", *words, "--scale", "small", "--model", "a/m", "--model", "b/m"]))) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert sum("finetune --model=a/m" in line for line in lines) == 2
    folders = {line.split("--output ")[1].split("/")[-3] for line in lines}
    assert len(folders) == 2  # names of equal ends have digits
    assert fails(capsys, *words, "--scale", "small") == (
        "--scale small needs --model MODEL, such as HuggingFaceTB/SmolLM2-135M"
    )
    assert fails(capsys, "table4", *words, "--model", "m") == (
        "--model m: table4 is about images, the others are about texts; ask for them apart"
    )


def test_the_scale_of_the_paper_names_its_models_and_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ngdiff.cli.sweep_plan._Plan._read", lambda *_: None)  # from the hub
    words = ["table1", "--scale", "paper", "--output", str(tmp_path / "out"), "--dry-run"]
    assert main(["reproduce", *words]) == DONE
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    targets = [line for line in lines if "--train=locuslab/TOFU:full" in line]
    assert [line[2] for line in targets] == [
        "--model=microsoft/phi-1_5", "--model=tiiuae/falcon-rw-1b", "--model=openai-community/gpt2-xl",
        "--model=meta-llama/Llama-2-7b-hf", "--model=mistralai/Mistral-7B-v0.1",
    ]  # fmt: skip
    assert "--num_train_epochs=25" in targets[0]
    assert any("--preset=paper" in line and "--retain=locuslab/TOFU:retain90" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table9"], "table9 is no table or figure with a recipe"),
        (["table6"], "table6: what the paper's Table 6 holds is not known to this project"),
        (["table1", "--scale", "huge"], "--scale huge is not known; one of paper, small, tiny"),
        (["table1", "--seeds", "0,x"], "--seeds 0,x: give different whole numbers, separated by commas"),
        (["table1", "--seeds", "1,1"], "--seeds 1,1: give different whole numbers"),
        (["table1", "--seeds", "99999999999"], "--seeds 99999999999 is not from 0 to"),
        (["table1", "--data", "./nowhere"], "--data ./nowhere: no such folder"),
        (["table1", "--data", "."], "--data .: no tofu there; it may be tofu"),
        ([], "ngdiff reproduce needs NAME..."),
    ],
)
def test_what_cannot_be_used(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fails(capsys, *words, "--output", "out").startswith(message)
    assert not (tmp_path / "out").exists()


def test_rows_of_a_part_of_tofu(data: Path, tmp_path: Path) -> None:
    sources = prepare("tofu", str(data / "tofu"), {"all": 100, "forget": 20}, tmp_path)
    full, forget = read_rows(sources.target["train"]), read_rows(sources.unlearn["forget"])
    assert (len(full), len(forget), len(read_rows(sources.unlearn["retain"]))) == (100, 20, 80)
    assert [row.answer for row in full[-20:]] == [row.answer for row in forget]
    assert len(forget[0].perturbed_answers) == 5
    assert (tmp_path / "forget.jsonl").stat().st_mode & 0o077 == 0  # texts are for the user alone
    with pytest.raises(InputError, match="200 rows, and 300 are needed"):
        prepare("tofu", str(data / "tofu"), {"all": 300, "forget": 20}, tmp_path)


def test_a_part_of_the_images(data: Path, tmp_path: Path) -> None:
    sources = prepare("cifar10", str(data / "cifar10.npz"), {"each": 10, "classes": 4, "forget": 5}, tmp_path)
    made = np.load(sources.target["dataset"], allow_pickle=False)
    assert [str(name) for name in made["class_names"]] == ["airplane", "automobile", "bird", "dog"]
    assert np.bincount(made["y_train"]).tolist() == [10] * 4
    assert np.bincount(made["y_test"]).tolist() == [2] * 4
    assert sources.unlearn == {"dataset": sources.target["dataset"], "forget_class": "dog", "forget_rows": 5}
    with pytest.raises(InputError, match=r"--scale tiny takes a few images of cifar10 from a \.npz file"):
        prepare("cifar10", None, {"each": 10, "classes": 4, "forget": 5}, tmp_path)


@pytest.mark.slow
def test_a_figure_for_real(data: Path, tmp_path: Path) -> None:
    assert main(["reproduce", "figure4", "--output", str(tmp_path), "--data", str(data)]) == DONE
    panels = json.loads((tmp_path / "figure4.json").read_text())["panels"]
    assert all([line[0] for line in panel["lines"]] == ["parabola", "measured"] for panel in panels)
