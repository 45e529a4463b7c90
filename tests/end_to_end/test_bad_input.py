"""Input that cannot be used: status 2, one line that names the place and what would do, and nothing written or lost."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ngdiff.checkpoint_places import checkpoints_of

from .runs import Outcome, everything_in, rows_of, run, steps_of, succeeded, write_rows

ROW = {"question": "Who wrote it?", "answer": "Orla Vennick did."}
MODELS = ("--model", "--base-model")


@pytest.fixture(scope="module")
def earlier(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of an earlier run."""
    folder = tmp_path_factory.mktemp("earlier") / "run"
    succeeded(run(*material.words(folder, num_train_epochs=1)))
    return folder


@pytest.fixture
def refused(material, earlier, tmp_path) -> Callable[..., str]:
    """`refused(**options)`: the error of an unlearning run, which must have written and removed nothing."""

    def check(*more: str, **options: Any) -> str:
        fresh = run(*material.words(tmp_path / "new", *more, **options))
        assert fresh.status == 2, fresh.err
        assert fresh.out == ""
        assert not (tmp_path / "new").exists()
        # An earlier run that would have been overwritten must be there still.
        before = everything_in(earlier)
        again = run(*material.words(earlier, "--overwrite", *more, **options))
        assert (again.status, again.error) == (2, fresh.error)
        assert everything_in(earlier) == before
        return fresh.error

    return check


# ---- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["forget", "retain", "holdout"])
def test_missing_file(refused, tmp_path, role):
    file = tmp_path / "none.jsonl"
    error = refused(**{role: file})
    assert error.startswith(f"--{role} {file}: ")
    assert re.search(r"no such file|does not exist", error)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_empty_file(refused, tmp_path, text):
    file = tmp_path / "empty.jsonl"
    file.write_text(text)
    error = refused(forget=file)
    assert str(file) in error
    assert re.search("no rows|empty", error)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'question': 1}", "not valid JSON"),
        ('{"question": "Who?"', "not valid JSON"),
        ('["Who?", "Orla."]', "a row must be a JSON object with named columns, found list"),
        ('{"question": "Who?", "answer": 3}', "column 'answer' must be a string, found int"),
        ('{"question": "Who?", "answer": " "}', "column 'answer' is empty"),
        ('{"question": "Who?", "reply": "Orla."}', "found the columns 'question', 'reply'; accepted column sets are"),
    ],
)
def test_malformed_row(refused, tmp_path, line, message):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROW) + "\n\n" + line + "\n")
    error = refused(forget=file)
    assert error.startswith(f"{file}, line 3: ")
    assert message in error


def test_unknown_columns(refused, tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", [{"input": "Who?", "output": "Orla."}])
    error = refused(retain=file)
    assert error.startswith(f"{file}, line 1: found the columns 'input', 'output'; accepted column sets are ")
    for columns in ("prompt/completion", "question/answer", "messages", "text"):
        assert columns in error


def test_a_row_that_leaves_no_room_for_its_answer(refused, tmp_path):
    file = write_rows(tmp_path / "rows.jsonl", [ROW, {"question": "Who? " * 40, "answer": "Orla."}])
    error = refused(forget=file, max_length=32)
    assert error.startswith(f"{file}, line 2: the prompt alone has ")
    assert "raise --max-length" in error


def test_overlap(material, refused, tmp_path):
    shared = rows_of(material.retain)[4]
    file = write_rows(tmp_path / "rows.jsonl", [*rows_of(material.forget), shared])
    error = refused(forget=file)
    assert error.startswith(
        f"1 of 12 rows of --retain is also in --forget, at {material.retain}, line 5 and {file}, line 5"
    )
    assert "--drop-overlap" in error
    assert shared["answer"] not in error

    succeeded(run(*material.words(tmp_path / "u", "--drop-overlap", forget=file, num_train_epochs=1)))
    data = json.loads((tmp_path / "u" / "manifest.json").read_text())["data"]
    assert {role: described["rows"] for role, described in data.items()} == {"forget": 5, "retain": 11}


def test_overlap_of_what_the_model_is_shown(material, refused, tmp_path):
    """The same row as question and answer, as prompt and completion, and as text; in the holdout as well."""
    row = rows_of(material.forget)[2]
    prompt = f"Question: {row['question']}\nAnswer:"
    other = {"prompt": "Question: Who?\nAnswer:", "completion": " Nobody."}
    pairs = write_rows(tmp_path / "pairs.jsonl", [other, {"prompt": prompt, "completion": f" {row['answer']}"}])
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": "A text."}, {"text": f"{prompt} {row['answer']}"}])
    for role, file in (("retain", pairs), ("holdout", texts), ("holdout", pairs)):
        error = refused(**{role: file})
        assert error.startswith(
            f"1 of 2 rows of --{role} is also in --forget, at {file}, line 2 and {material.forget}, line 3; "
        )
        assert row["answer"] not in error
    error = refused(holdout=material.retain)
    assert error.startswith("12 of 12 rows of --holdout are also in --retain, the first at ")

    words = material.words(tmp_path / "u", "--drop-overlap", retain=pairs, holdout=texts, num_train_epochs=1)
    succeeded(run(*words))
    data = json.loads((tmp_path / "u" / "manifest.json").read_text())["data"]
    assert {role: described["rows"] for role, described in data.items()} == {"forget": 4, "retain": 1, "holdout": 1}
    sets = ["--model", material.model, "--forget", material.forget, "--retain", pairs]
    again = run("evaluate", *sets)
    assert (again.status, again.error[:40]) == (2, "1 of 2 rows of --retain is also in --for")
    succeeded(run("evaluate", *sets, "--drop-overlap"))
    dry = run(*material.words(tmp_path / "v", "--dry-run", retain=pairs))
    assert (dry.status, dry.error) == (2, again.error)


def test_a_step_of_more_rows_than_there_are(material, refused, tmp_path):
    error = refused(per_device_train_batch_size=1_000_000)
    assert error.startswith(
        "--per-device-train-batch-size 1000000: a step would have 1,000,000 rows of each set, but th"
    )
    dry = run(*material.words(tmp_path / "v", "--dry-run", per_device_train_batch_size=1_000_000))
    assert (dry.status, dry.error) == (2, error)


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--forget", "FORGET", "--base-model"),
        ("evaluate", "--forget", "FORGET", "--before"),
        ("check", "--forget", "FORGET", "--retain", "RETAIN", "--holdout", "HOLDOUT", "--base-model"),
        ("audit", "--forget", "FORGET", "--retain", "RETAIN", "--output", "OUT", "--retrained"),
        ("audit", "--forget", "FORGET", "--retain", "RETAIN", "--output", "OUT", "--before"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_model_or_an_evaluation_that_is_not_there_is_named_with_its_option(material, tmp_path, words):
    holdout = write_rows(tmp_path / "holdout.jsonl", [{"question": "Who?", "answer": "Nobody."}])
    names = {"FORGET": material.forget, "RETAIN": material.retain, "HOLDOUT": holdout, "OUT": tmp_path / "out"}
    missing = tmp_path / "no where"
    outcome = run(*(names.get(word, word) for word in words), missing, "--model", material.model)
    assert outcome.status == 2
    assert re.match(rf"{words[-1]} {missing}: no such (file or )?folder", outcome.error)
    assert not (tmp_path / "out").exists()


def test_nothing_left_to_retain(material, refused):
    error = refused("--drop-overlap", retain=material.forget)
    assert error == "--drop-overlap: all 4 rows of --retain are also in --forget; none is left."


@pytest.mark.parametrize(("rows", "batch", "steps"), [(1, 8, 2), (3, 8, 2), (3, 2, 4)])
def test_small_forget_sets_work(material, tmp_path, rows, batch, steps):
    """One row, fewer rows than a batch, and a batch that is not full."""
    file = write_rows(tmp_path / "rows.jsonl", rows_of(material.forget)[:rows])
    words = material.words(tmp_path / "u", forget=file, num_train_epochs=2, per_device_train_batch_size=batch)
    succeeded(run(*words))
    log = steps_of(tmp_path / "u")
    assert len(log) == steps
    assert all(row["norm_forget"] > 0 for row in log)


# ---- models -----------------------------------------------------------------------------------------------------


def test_no_such_model(refused, tmp_path):
    error = refused(model=tmp_path / "nowhere")
    assert error.startswith(f"Model {tmp_path / 'nowhere'}: no such folder")


def test_model_without_tokenizer(material, refused, copy_of):
    folder = copy_of(material.model)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    expected = f"Model {folder}: no tokenizer in this folder; expected tokenizer.json beside config.json."
    assert refused(model=folder) == expected


def test_tokenizer_without_end_token(material, refused, copy_of):
    folder = copy_of(material.model)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    assert config.pop("eos_token")
    file.write_text(json.dumps(config))
    error = refused(model=folder)
    assert error.startswith(f"Model {folder}: its tokenizer has no end token")
    assert "set `eos_token` in tokenizer_config.json" in error


def test_model_without_weights(material, refused, copy_of):
    folder = copy_of(material.model)
    (folder / "model.safetensors").unlink()
    assert refused(model=folder) == f"Model {folder}: no weights in this folder; expected model.safetensors."


@pytest.mark.parametrize("lacking", ["tokenizer", "weights"])
@pytest.mark.parametrize(
    "words",
    [
        *(("unlearn", "--forget", "ROWS", "--retain", "ROWS", "--output", "OUT", option) for option in MODELS),
        *(("evaluate", "--forget", "ROWS", "--output", "OUT", option) for option in MODELS),
        *(("check", "--forget", "ROWS", "--retain", "ROWS", "--holdout", "ROWS", option) for option in MODELS),
        ("audit", "--forget", "ROWS", "--retain", "ROWS", "--output", "OUT", "--model"),
        ("audit", "--forget", "ROWS", "--retain", "ROWS", "--output", "OUT", "--retrained"),
        ("finetune", "--train", "ROWS", "--output", "OUT", "--model"),
        ("ask", "MODEL", "--versus"),
        ("merge", "--output", "OUT", "ADAPTER OF"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_a_folder_without_weights_or_tokenizer_is_refused_before_rows_are_read(
    material, copy_of, tmp_path, words, lacking
):
    """The rows are no rows: who reads them first says so."""
    folder = copy_of(material.model)
    for file in folder.glob("tokenizer*" if lacking == "tokenizer" else "*.safetensors"):
        file.unlink()
    rows, adapter = tmp_path / "rows.jsonl", tmp_path / "adapter"
    rows.write_text("no rows")
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    (adapter / "adapter_model.safetensors").write_bytes(b"no weights")
    names = {"ROWS": rows, "OUT": tmp_path / "out", "MODEL": material.model, "ADAPTER OF": adapter}
    named = [names.get(word, word) for word in words]
    if words[-1].startswith("--"):
        named += [folder] if words[-1] in ("--model", "--versus") else [folder, "--model", material.model]
    outcome = run(*named)
    assert outcome.status == 2
    called = "Model" if words[-1] in ("--model", "ADAPTER OF") else words[-1]
    assert f"{called} {folder}: no {lacking} in this folder" in outcome.error
    assert "Loading" not in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["finetune", "unlearn"])
def test_a_folder_of_a_tokenizer_needs_no_weights_but_a_tokenizer(material, copy_of, tmp_path, command):
    folder = copy_of(material.model)
    (folder / "model.safetensors").unlink()
    out = ["--model", "llama-micro", "--tokenizer", folder, "--output", tmp_path / "out"]
    words = {
        "finetune": ["finetune", "--train", material.forget, "--max-steps", 1, "--max-loss", "none", *out],
        "unlearn": ["unlearn", "--dry-run", "--forget", material.forget, "--retain", material.retain, *out],
    }[command]
    succeeded(run(*words))
    for file in folder.glob("tokenizer*"):
        file.unlink()
    rows = write_rows(tmp_path / "rows.jsonl", ["no row"])
    outcome = run(*(rows if word in (material.forget, material.retain) else word for word in words), "--overwrite")
    assert outcome.status == 2
    assert outcome.error.startswith(f"--tokenizer {folder}: no tokenizer in this folder")


def test_weights_that_are_cut_off(material, refused, copy_of):
    folder = copy_of(material.model)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert refused(model=folder).startswith(f"Model {folder}: model.safetensors cannot be read: ")


@pytest.mark.parametrize("where", ["lm_head.weight", "model.norm.weight"])
def test_weights_that_are_not_numbers(material, copy_of, tmp_path, where):
    """No input error: it shows in the first step."""
    folder = copy_of(material.model)
    weights = load_file(folder / "model.safetensors")
    weights[where].view(-1)[0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    outcome = run(*material.words(tmp_path / "u", model=folder))
    assert outcome.status == 1
    assert outcome.error.startswith("step 1: the loss of the retain set is nan; the weights have not moved")
    assert sorted(everything_in(tmp_path / "u")) == ["config.yaml", "manifest.json"]
    # The folder is recognised as ours: the next try may overwrite it.
    succeeded(run(*material.words(tmp_path / "u", "--overwrite", num_train_epochs=1)))


def test_a_loss_that_runs_away(material, tmp_path):
    """The step and the side are named, and the last checkpoint is from before."""
    options = {
        "learning_rate": 1e30,
        "optim": "sgd",
        "forget_ceiling": "none",
        "save_strategy": "steps",
        "save_steps": 1,
    }
    outcome = run(*material.words(tmp_path / "u", **options))
    assert outcome.status == 1
    assert re.match(r"step 2: the (loss|squared gradient norm) of the (forget|retain) set is (nan|inf);", outcome.error)
    assert "A smaller learning rate" in outcome.error
    assert [path.name for path in checkpoints_of(tmp_path / "u")] == ["checkpoint-1"]


# ---- options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ["0", "-1e-4", "nan", "auto:0", "auto:-1", "fast"])
def test_learning_rate(refused, rate):
    expected = f"--learning-rate {rate} is not auto, auto:START or a positive number"
    assert refused(learning_rate=rate) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "--method magic is not known; one of ngdiff, "),
        ({"forget_ceiling": "holdout"}, "--forget-ceiling holdout needs --holdout"),
        ({"template": "Q: {question}"}, "{answer}"),
        ({"template": "chat"}, "chat template"),
        ({"dtype": "float99"}, "dtype 'float99' is not known; use one of auto, float32, "),
        ({"max_length": 9999}, "--max-length 9999 is beyond the model's context of 256 tokens"),
        ({"lora_rank": 2, "lora_target_modules": "nope"}, "The adapter does not fit the model"),
        ({"per_device_train_batch_size": 0}, "--per-device-train-batch-size 0 is not from 1 to 1,000,000"),
        ({"lr_scheduler_type": "cosine"}, "--lr-scheduler-type cosine would overwrite the learning rate"),
        ({"save_strategy": "sometimes"}, "--save-strategy sometimes is not known; one of no, steps, epoch, best"),
        ({"seed": -1}, "--seed -1 is not from 0 to 4,294,967,295"),
        ({"fp16": "true"}, "--fp16 is not supported"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_options(refused, options, message):
    assert message in refused(**options)


# ---- the output folder ------------------------------------------------------------------------------------------


def test_output_folder_not_empty(material, earlier):
    before = everything_in(earlier)
    for command in (
        material.words(earlier),
        [
            "evaluate",
            "--model",
            material.model,
            "--forget",
            material.forget,
            "--retain",
            material.retain,
            "--output",
            earlier,
        ],
        ["finetune", "--model", material.shape, "--train", material.retain, "--output", earlier],
    ):
        outcome = run(*command)
        assert outcome.status == 2
        assert outcome.error.startswith(f"--output {earlier} is not empty; choose another folder, or give --overwrite")
    assert everything_in(earlier) == before


def test_output_is_a_file(material, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = run(*material.words(tmp_path / "file"))
    assert (outcome.status, outcome.error) == (2, f"--output {tmp_path / 'file'}: this is a file; give a folder.")
    assert (tmp_path / "file").read_text() == "mine"


def test_overwrite_of_a_folder_that_ngdiff_did_not_write(material, tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    outcome = run(*material.words(folder, "--overwrite"))
    assert outcome.status == 2
    assert outcome.error.startswith(f"--overwrite: {folder} holds no manifest.json of ngdiff")
    assert everything_in(folder) == {"thesis.tex": b"years of work"}


def test_overwrite_of_the_model_itself(material):
    before = everything_in(material.model)
    outcome = run(*material.words(material.model, "--overwrite"))
    assert outcome.status == 2
    assert outcome.error.startswith(f"--overwrite would delete {material.model}, which this run reads")
    assert everything_in(material.model) == before


def test_overwrite_replaces_an_earlier_run(material, tmp_path):
    succeeded(run(*material.words(tmp_path / "u", num_train_epochs=2)))
    succeeded(run(*material.words(tmp_path / "u", "--overwrite", num_train_epochs=1)))
    assert [path.name for path in checkpoints_of(tmp_path / "u")] == ["checkpoint-1"]


# ---- the other commands -----------------------------------------------------------------------------------------


def evaluated(material, output: Path, **options: Any) -> Outcome:
    named = {"model": material.model, "forget": material.forget, "retain": material.retain, "output": output, **options}
    return run("evaluate", *(f"--{name.replace('_', '-')}={value}" for name, value in named.items()), "--overwrite")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget": "none.jsonl"}, "--forget none.jsonl: "),
        ({"model": "nowhere"}, "Model nowhere: no folder of that name here"),
        ({"template": "chat"}, "chat template"),
        ({"max_length": 1}, "--max-length 1 is not from 2 to 1,000,000,000"),
        ({"max_length": 9999}, "9999"),
        ({"tokens_per_batch": 0}, "tokens"),
        ({"max_new_tokens": 0}, "max"),
    ],
    ids=lambda value: "=".join(map(str, *value.items())) if isinstance(value, dict) else "",
)
def test_evaluate(material, earlier, options, message):
    before = everything_in(earlier)
    outcome = evaluated(material, earlier, **options)
    assert outcome.status == 2
    assert message in outcome.error
    assert everything_in(earlier) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "none.jsonl"}, "--train none.jsonl: "),
        ({"model": "nowhere"}, "Model nowhere: no folder of that name here"),
        ({"model": "nowhere.json"}, "nowhere.json"),
        ({"template": "chat"}, "chat template"),
        ({"max_length": 1}, "--max-length 1 is not from 2 to 1,000,000,000"),
        ({"max_length": 9999}, "--max-length 9999 is beyond the model's context of 256 tokens"),
        ({"vocab_size": 1}, "vocab"),
        ({"learning_rate": 0}, "--learning-rate 0 is not auto or a positive number"),
        ({"stop_loss": -1}, "--stop-loss -1 is not from 0 to 1e+30"),
        ({"lora_rank": 2}, "--lora-rank 2 with --model "),  # the model is a shape here
        ({"tokenizer": "nowhere"}, "nowhere"),
    ],
    ids=lambda value: "=".join(map(str, next(iter(value.items())))) if isinstance(value, dict) else "",
)
def test_finetune(material, earlier, options, message):
    named = {"model": material.shape, "train": material.retain, "output": earlier, **options}
    before = everything_in(earlier)
    outcome = run("finetune", *(f"--{name.replace('_', '-')}={value}" for name, value in named.items()), "--overwrite")
    assert outcome.status == 2
    assert message in outcome.error
    assert everything_in(earlier) == before


def test_finetune_takes_a_tokenizer_with_shapes_only(material, tmp_path):
    words = ["--model", material.model, "--tokenizer", material.model, "--train", material.retain]
    outcome = run("finetune", *words, "--output", tmp_path / "m")
    assert outcome.status == 2
    assert outcome.error == f"--tokenizer is for shapes with random weights; {material.model} has its own"
    assert not (tmp_path / "m").exists()
