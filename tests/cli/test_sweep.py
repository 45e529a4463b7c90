"""`ngdiff sweep`: what it plans, and what it refuses before anything runs. No command is run here."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ngdiff.cli import main, sweep
from ngdiff.data.people import write_people
from ngdiff.exit_codes import BAD_INPUT, DONE, SWEEP_INCOMPLETE
from ngdiff.sweep import Job, Record, Result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_people(folder, 4, questions=2, forget_fraction=0.25)
    return folder


class Asked:
    """A folder in which sweeps are asked for; `jobs`: what would have run."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder, self.jobs = data, folder, dict[str, Job]()
        self.status: dict[str, str] = {}

    def work(self, record: Record, tell: Any, *, at_once: int, start: Any = None) -> None:
        self.jobs, self.at_once, self.start = {job.name: job for job in record.jobs}, at_once, start
        for job in record.jobs:
            record.results[job.name] = Result(self.status.get(job.name, "waiting"))  # type: ignore[arg-type]

    def sets(self) -> list[str]:
        return [f"--{name}={self.data / name}.jsonl" for name in ("forget", "retain")]

    def words(self, name: str) -> list[str]:
        """Of a job, with the folders of the test left out."""
        return [re.sub(rf"{self.data}/|{self.folder}/", "", word) for word in self.jobs[name].words]

    def file(self, **content: Any) -> Path:
        options = {"forget": f"{self.data}/forget.jsonl", "retain": f"{self.data}/retain.jsonl"}
        path = self.folder / "sweep.yaml"
        path.write_text(
            yaml.safe_dump({"options": options, "output": str(self.folder / "out"), **content}, sort_keys=False)
        )
        return path


@pytest.fixture
def asked(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    made = Asked(data, tmp_path)
    monkeypatch.setattr(sweep, "work", made.work)
    return made


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["sweep", *map(str, words)]) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


def test_short_names_in_a_grid(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "my-model", "--steps=3", *asked.sets(), "--output", str(asked.folder / "out")]
    assert fails(capsys, "--grid", "max_steps=1,2", *words).startswith("--grid: max_steps is there and on the command")
    assert fails(capsys, "--grid", "lr=1", "learning_rate=2", *words).startswith("--grid: an option is there twice")
    assert main(["sweep", "--grid", "lr=1e-4,1e-3", *words]) == SWEEP_INCOMPLETE
    assert "unlearn learning-rate=1e-4" in asked.jobs


def test_a_grid_on_the_command_line(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--grid", "method=ngdiff,npo+ngdiff", "seed=0,1", "--model", "my-model", "--max-steps=3", *asked.sets()]
    assert main(["sweep", *words, "--output", str(asked.folder / "out"), "--jobs", "2"]) == SWEEP_INCOMPLETE
    assert asked.at_once == 2
    runs = [f"method={method},seed={seed}" for method in ("ngdiff", "npo+ngdiff") for seed in (0, 1)]
    each = [f"{command} {run}" for run in runs for command in ("unlearn", "evaluate", "score")]
    assert list(asked.jobs) == ["evaluate before", *each]  # one evaluation before for all
    assert asked.words("unlearn method=npo+ngdiff,seed=1") == [
        "--model", "my-model", "--max-steps=3", "--forget=forget.jsonl", "--retain=retain.jsonl",
        "--method=npo+ngdiff", "--seed=1",
    ]  # fmt: skip
    run = runs[0]
    assert asked.words(f"evaluate {run}") == [
        f"--model=out/{run}/model", "--forget", "forget.jsonl", "--retain", "retain.jsonl",
    ]  # fmt: skip
    assert asked.words(f"score {run}") == [f"out/{run}/evaluation", "--before=out/before/evaluation"]
    saved = json.loads((asked.folder / "out" / "sweep.json").read_text())
    assert saved["grid"] == {"method": ["ngdiff", "npo+ngdiff"], "seed": ["0", "1"]}
    assert saved["runs"][run] == {"values": {"method": "ngdiff", "seed": "0"}, "role": "run", "metrics": None}
    assert capsys.readouterr().err.startswith("ngdiff: error: the sweep is incomplete: 13 of 13 commands failed")


def test_chunks_of_documents_to_forget(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows to retain are not chunked, so that a model that is trained on them alone has no chunks."""
    (asked.folder / "notes.md").write_text("Orla lives in Tarnholm.")
    stages = {"target": {"model": "llama-micro", "train": f"{asked.data}/full.jsonl"}, "retrained": True}
    file = asked.file(grid={"seed": [0]}, stages=stages, options={"retain": f"{asked.data}/retain.jsonl"})
    words = [str(file), "--chunk-tokens", "40", "--method=ngdiff"]
    assert main(["sweep", *words, "--forget", f"{asked.folder}/notes.md"]) == SWEEP_INCOMPLETE
    assert "--chunk-tokens" in asked.words("unlearn seed=0")
    assert "--chunk-tokens" in asked.words("evaluate seed=0")
    assert not [word for word in asked.words("finetune retrained-model,seed=0") if "chunk" in word]
    capsys.readouterr()
    output = ["--output", asked.folder / "none"]
    refused = fails(capsys, *words, "--forget", f"{asked.data}/forget.jsonl", *output)
    assert refused.startswith("seed=0: --chunk-tokens 40 changes nothing: it is for documents and other texts")


def test_stages_are_shared_by_seed(asked: Asked) -> None:
    stages = {
        "target": {"model": "llama-micro", "train": f"{asked.data}/full.jsonl", "num_train_epochs": 2},
        "retrained": True,
        "evaluate": {"generate": False},
        "score": {"confidence": 0.9},
    }
    file = asked.file(grid={"method": ["ngdiff", "gd"], "seed": [0, 1]}, stages=stages, jobs=3)
    main(["sweep", str(file), "--max-steps", "2"])
    assert asked.at_once == 3
    shared = [job for job in asked.jobs if "method" not in job]
    assert shared == [
        f"{job},seed={seed}"
        for seed in (0, 1)
        for job in ("finetune target", "evaluate before", "finetune retrained-model", "evaluate retrained")
    ]
    target = ["--model=llama-micro", "--train=full.jsonl", "--num_train_epochs=2", "--seed=1"]
    assert asked.words("finetune target,seed=1") == target
    # Tokens as the target has them, or nothing of the two would compare.
    assert asked.words("finetune retrained-model,seed=1") == [
        target[0], "--train=retain.jsonl", *target[2:], "--tokenizer=out/target,seed=1/model",
    ]  # fmt: skip
    assert asked.jobs["finetune retrained-model,seed=1"].needs == ("finetune target,seed=1",)
    run = "method=gd,seed=1"
    assert "--model=out/target,seed=1/model" in asked.words(f"unlearn {run}")
    assert asked.jobs[f"unlearn {run}"].needs == ("finetune target,seed=1",)
    assert "--generate=false" in asked.words(f"evaluate {run}")
    assert asked.words("evaluate retrained,seed=1")[0] == "--model=out/retrained-model,seed=1/model"
    assert asked.words(f"score {run}")[1:] == [
        "--before=out/before,seed=1/evaluation", "--retrained=out/retrained,seed=1/evaluation", "--confidence=0.9",
    ]  # fmt: skip
    assert set(asked.jobs[f"score {run}"].needs) == {
        f"evaluate {run}", "evaluate before,seed=1", "evaluate retrained,seed=1",
    }  # fmt: skip


def test_a_size_of_the_vocabulary_is_of_the_model_that_trains_its_tokenizer(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    target = {"model": "llama-micro", "train": f"{asked.data}/full.jsonl", "vocab_size": 300}
    main(["sweep", str(asked.file(grid={"seed": [1]}, stages={"target": target, "retrained": True}))])
    assert "--vocab_size=300" in asked.words("finetune target,seed=1")
    words = asked.words("finetune retrained-model,seed=1")
    assert "--tokenizer=out/target,seed=1/model" in words
    assert not [word for word in words if word.startswith("--vocab_size")]
    capsys.readouterr()
    own = {"target": target, "retrained": {**target, "train": f"{asked.data}/retain.jsonl"}}
    found = fails(capsys, asked.file(grid={"seed": [1]}, stages=own, output=str(asked.folder / "other")))
    assert found.endswith("stages: retrained: vocab_size changes nothing: it gets the tokenizer of the target")


def test_a_target_with_its_own_seed_is_one_for_all(asked: Asked) -> None:
    stages = {"target": {"model": "llama-micro", "train": f"{asked.data}/full.jsonl", "seed": 7}, "retrained": True}
    main(["sweep", str(asked.file(grid={"seed": [0, 1]}, stages=stages))])
    assert [job for job in asked.jobs if not job.startswith(("unlearn", "evaluate seed", "score"))] == [
        "finetune target", "evaluate before", "finetune retrained-model", "evaluate retrained",
    ]  # fmt: skip


def test_shared_parts_keep_their_names_when_seeds_are_added(asked: Asked) -> None:
    stages = {"target": {"model": "llama-micro", "train": f"{asked.data}/full.jsonl"}, "retrained": True}
    main(["sweep", str(asked.file(grid={"seed": [0]}, stages=stages))])
    first = asked.jobs
    main(["sweep", str(asked.file(grid={"seed": [0, 1]}, stages=stages)), "--resume"])
    assert first.items() <= asked.jobs.items()


def test_sets_in_the_grid_have_evaluations_of_their_own(asked: Asked) -> None:
    other = asked.folder / "other.jsonl"
    other.write_text((asked.data / "forget.jsonl").read_text())
    forget = [str(asked.data / "forget.jsonl"), str(other)]
    options = {"retain": f"{asked.data}/retain.jsonl", "model": "m"}
    main(["sweep", str(asked.file(grid={"forget": forget}, options=options, stages={"retrained": "gold"}))])
    assert "evaluate before,forget=other.jsonl" in asked.jobs
    assert asked.words("evaluate retrained,forget=other.jsonl")[0] == "--model=gold"
    assert (
        f"--before={asked.folder}/out/before,forget=other.jsonl/evaluation"
        in asked.jobs["score forget=other.jsonl"].words
    )


def test_variants_are_options_that_belong_together(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    variants = {"fixed": {"lr": 1e-4}, "found": {"learning_rate": None, "weighting": "imtl-g"}}
    options = {"learning_rate": 1e-3, **{name: f"{asked.data}/{name}.jsonl" for name in ("forget", "retain")}}
    own = {"variants": variants, "options": options, "stages": {"evaluate": False}}
    file = asked.file(grid={"seed": [0, 1]}, **own)
    main(["sweep", str(file), "--model", "m"])
    assert list(asked.jobs) == [f"unlearn variant={name},seed={seed}" for name in variants for seed in (0, 1)]
    rates = {name: [word for word in asked.words(name) if "rate" in word] for name in asked.jobs}
    assert rates["unlearn variant=fixed,seed=1"] == ["--learning_rate=0.0001"]
    assert rates["unlearn variant=found,seed=1"] == []
    assert "--weighting=imtl-g" in asked.words("unlearn variant=found,seed=0")
    assert json.loads((asked.folder / "out" / "sweep.json").read_text())["variants"] == variants
    words = [file, "--model=m", "--output", asked.folder / "some"]
    main(["sweep", *map(str, words), "--grid", "variant=found"])
    assert list(asked.jobs) == [f"unlearn variant=found,seed={seed}" for seed in (0, 1)]
    words[-1] = asked.folder / "none"
    capsys.readouterr()
    assert fails(capsys, *words, "--grid", "variant=foud") == f"{file}: variant: foud is not known; did you mean found?"
    assert fails(capsys, *words, "--lr", "1") == (
        f"{file}: variants: learning_rate is there and on the command line; leave one of them out"
    )
    assert fails(capsys, *words, "--grid", "lr=1,2").startswith(
        f"{file}: grid: learning_rate is there and in a variant"
    )


def test_nothing_but_unlearning(asked: Asked) -> None:
    main(["sweep", str(asked.file(grid={"seed": [0]}, stages={"evaluate": False})), "--model", "m"])
    assert list(asked.jobs) == ["unlearn seed=0"]


def test_images(asked: Asked) -> None:
    options = {"task": "image", "dataset": "cifar10", "forget_class": "dog"}
    stages = {"target": {"model": "resnet-micro", "dataset": "cifar10"}, "retrained": True}
    main(["sweep", str(asked.file(grid={"seed": [0, 1]}, options=options, stages=stages))])
    assert asked.words("finetune target,seed=1")[-2:] == ["--task=image", "--seed=1"]
    assert "--forget_class=dog" in asked.words("finetune retrained-model,seed=1")
    assert asked.jobs["finetune retrained-model,seed=1"].needs == ()


def test_named_images(asked: Asked, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    options = {"task": "image", "dataset": "cifar10", "forget_images": str(names)}
    stages = {"target": {"model": "resnet-micro", "dataset": "cifar10"}, "retrained": True}
    words = ["sweep", str(asked.file(grid={"seed": [0]}, options=options, stages=stages))]
    assert main(words) == BAD_INPUT
    assert asked.jobs == {}
    names.write_text("7\n")
    main(words)
    for job in ("finetune retrained-model,seed=0", "unlearn seed=0", "evaluate seed=0", "evaluate retrained,seed=0"):
        assert any(word.endswith("names.txt") for word in asked.words(job)), job


@pytest.mark.parametrize(
    ("grid", "more", "message"),
    [
        (["methd=ngdiff"], [], "--grid: methd is no option of ngdiff unlearn; did you mean --method?"),
        (["method="], [], "--grid: method has no values"),
        (["method"], [], "--grid method: give an option and its values, OPTION=VALUE,VALUE,..."),
        (["method=ngdiff,ngdif"], [], "method=ngdif: .*ngdif"),
        (["seed=0,x"], [], "seed=x: .*--seed: invalid int value: 'x'"),
        (["num_train_epochs=1,-3"], [], "num-train-epochs=-3: --num-train-epochs -3 is not from 0"),
        (["seed=0,1"], ["--seed", "2"], "--grid: seed is there and on the command line; leave one of them out"),
        (["output=a,b"], [], "--grid: output is for the sweep to say, not for its runs; leave it out"),
        (["task=text,image"], [], "--grid: each task has options of its own; make a sweep for each"),
        (
            ["seed=0"],
            ["--max-step", "2"],
            "seed=0: --max-step is no option of ngdiff unlearn; did you mean --max-steps",
        ),
        (["seed=0"], ["--max-steps", "2", "--max-steps", "3"], "--max-steps is given twice; give it once"),
        (["forget=nowhere.jsonl"], [], "forget=nowhere.jsonl: .*nowhere.jsonl"),
        (["seed=0"], ["--dry-run"], "--dry-run is for the sweep to say, not for its runs; leave it out"),
        (["seed=0"], ["--overwrite=yes"], "--overwrite is for the sweep to say"),
        (["overwrite=yes"], ["--overwrite=no"], "--grid: overwrite is for the sweep to say"),
        (["seed=0"], ["--push-to-hub"], "--push-to-hub: a sweep uploads nothing; ngdiff push uploads one of its"),
    ],
)
def test_bad_grids(
    grid: list[str], more: list[str], message: str, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for word in asked.sets() if word.partition("=")[0][2:] not in {w.partition("=")[0] for w in grid}]
    found = fails(capsys, "--grid", *grid, "--model=m", *sets, *more, "--output", asked.folder / "out")
    assert re.match(message, found), found
    assert not (asked.folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"gird": {"seed": [0]}}, "gird is not known; did you mean grid?"),
        ({"grid": {"seed": []}}, "grid: seed has no values"),
        ({"grid": {"seed": 0}}, "grid: seed has 0, not a list of values"),
        ({"grid": {"seeed": [0]}}, "grid: seeed is no option of ngdiff unlearn; did you mean --seed?"),
        ({"grid": ["seed"]}, r"grid is \['seed'\], not options with their values"),
        ({"options": {"seed": 1}}, "grid: seed is there and among the options"),
        ({"variants": ["a"]}, r"variants is \['a'\], not options with their values"),
        ({"variants": {"a": {"methd": "gd"}}}, "variants: a: methd is no option of ngdiff unlearn; did you mean"),
        ({"variants": {"a": {"output": "x"}}}, "variants: output is for the sweep to say"),
        ({"variants": {"a": {"task": "image"}}}, "grid: each task has options of its own"),
        ({"options": {"max_stepss": 1}}, "options: max_stepss is no option of ngdiff unlearn"),
        ({"stages": {"finetune": {}}}, "stages: finetune is not known; there are target, retrained, evaluate, score"),
        ({"stages": {"retrained": True}}, "stages: retrained is true, and there is no target to train it as"),
        ({"stages": {"retrained": 3}}, "stages: retrained is 3, not true, a folder, or options of ngdiff finetune"),
        ({"stages": {"target": {"modle": "x"}}}, "stages: target: modle is no option of ngdiff finetune"),
        ({"stages": {"target": {"model": "llama-micro"}}}, None),
        ({"stages": {"evaluate": {"generat": 1}}}, "stages: evaluate: generat is no option of ngdiff evaluate"),
        ({"stages": {"score": {"confidense": 1}}}, "stages: score: confidense is no option of ngdiff score"),
        ({"jobs": 0}, "jobs is 0, not a number of processes, 1 or more"),
        ({"output": 3}, "output is 3, not a folder"),
    ],
)
def test_bad_files(
    content: dict[str, Any], message: str | None, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    file = asked.file(**{"grid": {"seed": [0]}, **content})
    model = [] if "target" in content.get("stages", {}) else ["--model", "m"]
    found = fails(capsys, file, *model)
    assert re.match(rf"{file}: {message}" if message else "target,seed=0: ngdiff finetune needs --train", found), found
    assert not (asked.folder / "out").exists()


def test_folders_and_files_that_cannot_be_used(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys) == "ngdiff sweep needs a file, or --grid OPTION=VALUE,VALUE,..."
    assert fails(capsys, "nowhere.yaml") == "nowhere.yaml: no such file"
    assert fails(capsys, "--grid", "seed=0").startswith("ngdiff sweep needs --output, or `output` in its file")
    out = asked.folder / "out"
    out.mkdir()
    (out / "mine").write_text("")
    words = ["--grid", "seed=0", "--output", out]
    assert fails(capsys, *words) == f"--output {out} is not empty; choose another folder, or give --resume"
    assert fails(capsys, *words, "--resume").startswith(f"--resume: {out} holds no sweep.json of an earlier sweep")
    assert fails(capsys, "--grid", "seed=0", "--output", out / "mine") == (
        f"--output {out / 'mine'}: this is a file; give a folder"
    )
    file = asked.file(grid={"seed": [0]}, stages={"target": {"model": "llama-micro"}})
    found = fails(capsys, file, "--model", "m", "--output", asked.folder / "new")
    assert found.endswith("model is what the stage target makes; leave one of the two out")


def test_a_sweep_that_is_done_ends_with_0(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    asked.status = {"unlearn seed=0": "done"}
    file = asked.file(grid={"seed": [0]}, stages={"evaluate": False})
    assert main(["sweep", str(file), "--model", "m"]) == DONE
    assert capsys.readouterr().out.startswith("1 run, 1 command, in ")


class Cluster:
    """In place of a connection to Ray: three machines."""

    machines = 3

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self.address = "closed"

    def start(self, *of: Any) -> None:
        raise AssertionError


def test_ray_starts_the_commands_one_on_each_machine(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ngdiff.sweep.on_ray.RayCluster", Cluster)
    file = asked.file(grid={"seed": [0]}, stages={"evaluate": False})
    words = ["sweep", str(file), "--model", "m", "--ray", "10.0.0.1:6379"]
    main(words)
    assert asked.at_once == 3
    assert asked.start.__self__.address == "closed"
    main([*words, "--jobs", "5", "--resume"])
    assert asked.at_once == 5
    main(["sweep", str(file), "--model", "m", "--resume"])
    assert (asked.at_once, asked.start) == (1, None)


def test_rows_that_runs_make_are_kept_as_they_are_and_not_measured(asked: Asked) -> None:
    words = ["--grid", "protect=auto,null", "--model", "my-model", "--max-steps=3", *asked.sets()]
    assert main(["sweep", *words, "--output", str(asked.folder / "out")]) == SWEEP_INCOMPLETE
    assert "--protect=auto" in asked.words("unlearn protect=auto")
    sets = ["--forget", "forget.jsonl", "--retain", "retain.jsonl"]
    assert asked.words("evaluate protect=auto")[:5] == ["--model=out/protect=auto/model", *sets]
    assert asked.words("evaluate before") == ["--model", "my-model", *sets]


def test_retain_rows_that_runs_make_are_refused(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--grid", "seed=0,1", "--model", "my-model", "--forget", f"{asked.data}/forget.jsonl", "--retain=auto"]
    message = fails(capsys, *words, "--output", asked.folder / "out")
    assert message.startswith("seed=0: --retain auto makes other rows in each run, and a sweep compares runs on the")
    assert "give the private/retain_auto.jsonl of its output" in message


@pytest.mark.parametrize(
    ("bounds", "require"), [("utility>=0.9*before", True), ("retain.loss<=before", False), ("", False)]
)
def test_bounds_are_judged_by_the_evaluation_before(asked: Asked, bounds: str, require: bool) -> None:
    """Those on a loss are judged by the run."""
    more = [f"--require={bounds}"] if bounds else []
    words = ["--grid", "seed=0,1", "--model", "my-model", *asked.sets(), *more]
    assert main(["sweep", *words, "--output", str(asked.folder / "out")]) == SWEEP_INCOMPLETE
    job = asked.jobs["evaluate seed=1"]
    assert ("--before=out/before/evaluation" in asked.words(job.name)) == require
    assert ("evaluate before" in job.needs) == require


@pytest.mark.parametrize(
    ("ended", "code"), [({"evaluate": 5}, DONE), ({"score": 5}, 5), ({"unlearn": 6}, 6), ({}, DONE)]
)
def test_runs_that_do_not_meet_what_was_required(
    asked: Asked, ended: dict[str, int], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(record: Record, tell: Any, **_: Any) -> None:
        for job in record.jobs:
            record.results[job.name] = Result("done", ended.get(job.command, 0), 1.0)
            tell(job, record.results[job.name])

    monkeypatch.setattr(sweep, "work", work)
    monkeypatch.setattr(sweep, "_table", lambda folder: "")
    words = ["--grid", "seed=0,1", "--model", "my-model", *asked.sets()]
    assert main(["sweep", *words, "--output", str(asked.folder / "out")]) == code
    out, err = capsys.readouterr()
    assert ("of 2 of its runs" in err) == (code != DONE)
    said = {5: "done in 1 s; a requirement is not met", 6: "done in 1 s; an earlier request came back"}
    assert all(said[number] in out for number in ended.values())
