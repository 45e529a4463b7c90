"""No secret and no text of the data where others may read: in files of a run, in messages, in logs."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.data import read_rows
from ngdiff.data.row_reader import RowReader
from ngdiff.errors import InputError

from ..end_to_end.runs import evaluate_words, everything_in, run, succeeded

TOKEN = "hf_SecretSecretSecret"
TEXTS = ("Orla Nimmo was born in Galway.", "Ihr Konto hat die Nummer 4711.")


# ---- secrets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["word", "one word", "underscore", "config"])
@pytest.mark.parametrize("command", ["unlearn", "finetune"])
def test_a_token_is_refused_without_being_shown(material, tmp_path, caplog, command, written):
    """A run uploads nothing."""
    file = tmp_path / "options.yaml"
    file.write_text(f"hub_token: {TOKEN}\n")
    more = {
        "word": ["--hub-token", TOKEN],
        "one word": [f"--hub-token={TOKEN}"],
        "underscore": [f"--hub_token={TOKEN}"],
        "config": ["--config", str(file)],
    }[written]
    words = material.words(tmp_path / "run")
    if command == "finetune":
        words = ["finetune", "--model", material.model, "--train", material.retain, "--output", tmp_path / "run"]
    outcome = run(*words, *more)
    assert outcome.status == 2
    assert "--hub-token is not supported" in outcome.error
    assert TOKEN not in outcome.out + outcome.err + caplog.text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["unlearn", "finetune"])
def test_a_token_of_the_environment_stands_in_no_file(material, tmp_path, monkeypatch, command):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    words = material.words(tmp_path / "run")
    if command == "finetune":
        words = ["finetune", "--model", material.model, "--train", material.retain, "--output", tmp_path / "run"]
    keep = [] if command == "unlearn" else ["--keep-checkpoints"]
    succeeded(run(*words, *keep, "--num-train-epochs", 1, "--save-strategy", "epoch"))
    files = everything_in(tmp_path / "run")
    assert any(name.startswith("checkpoints/checkpoint-1/") for name in files)
    assert not [name for name, content in files.items() if TOKEN.encode() in content or "training_args" in name]


def test_a_token_that_the_arguments_hold_all_the_same(material, tmp_path):
    """Whoever sets it in Python: it is in no checkpoint, and afterwards it is where it was."""
    from ngdiff.modeling import load_model, load_tokenizer
    from ngdiff.training import UnlearnConfig, UnlearnTrainer

    config = UnlearnConfig(output_dir=str(tmp_path), max_steps=1, report_to=[])
    tokenizer = load_tokenizer(material.model)
    trainer = UnlearnTrainer(
        load_model(material.model), config, str(material.forget), str(material.retain), processing_class=tokenizer
    )
    trainer.args.hub_token = TOKEN
    trainer.train()
    files = everything_in(tmp_path)
    assert "checkpoints/checkpoint-1/model.safetensors" in files
    assert not [name for name, content in files.items() if TOKEN.encode() in content or "training_args" in name]
    assert trainer.args.hub_token == TOKEN


def test_a_mistyped_option_is_named_without_its_value(material, tmp_path):
    outcome = run(*material.words(tmp_path / "run", f"--hub-tokn={TOKEN}"))
    assert outcome.status == 2
    assert outcome.error == "--hub-tokn is no option of ngdiff unlearn; did you mean --hub-token?"


# ---- texts of the data -------------------------------------------------------------------------------------------


def written(folder: Path, name: str, content: object) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "f.csv",
            f'"{TEXTS[0]}","{TEXTS[1]}"\n"a","b"\n',
            "line 2: found 2 columns, none of a known name; accepted column sets are prompt/completion, "
            "question/answer, messages, text, instruction/output (Alpaca), conversations (ShareGPT); a CSV file names "
            "them in its first line. Say which is which: --columns question=NAME,answer=NAME, or --columns text=NAME.",
        ),
        (
            "f.csv",
            f'"{TEXTS[0]}","{TEXTS[0]}",question\n"a","b","c"\n',
            "line 1: a column name occurs twice: column 1, column 2, question.",
        ),
        ("f.json", {TEXTS[0]: TEXTS[1]}, "line 1: found 1 column, none of a known name; accepted"),
        ("f.json", {TEXTS[0]: [{"q": 1}], TEXTS[1]: [{"q": 1}]}, "holds several splits (2 of other names); name one"),
        ("f.json", {TEXTS[0]: [{"question": 3, "answer": "x"}]}, ":split 1, row 1: column 'question' must be a string"),
        ("f.jsonl", {"id": 1, TEXTS[0]: 2}, "line 1: found the columns 'id' and 1 of other names; accepted"),
        (
            "f.jsonl",
            {"messages": [{"role": "user", "content": "x"}, {"role": TEXTS[0], "content": TEXTS[1]}]},
            "line 1: the last turn must be the assistant's, found another role.",
        ),
        (
            "f.jsonl",
            {"messages": [{"role": "user", "content": "x", TEXTS[0]: [1]}]},
            "key 3 of turn 1 of column 'messages' must be a string, found list.",
        ),
    ],
)
def test_names_that_may_be_texts_are_counted(tmp_path, name, content, said):
    with pytest.raises(InputError) as caught:
        read_rows(str(written(tmp_path, name, content)), role="--forget")
    assert said in str(caught.value)
    assert not [text for text in TEXTS if text in str(caught.value)]


@pytest.mark.parametrize("name", ["Question", "answers", "prompts", "respnse"])
def test_names_that_are_nearly_right_are_shown(name):
    with pytest.raises(InputError, match=f"found the columns '{name}'"):
        RowReader().row({name: "x"}, "f.jsonl, line 1")


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1).map(lambda text: f"secret {text} secret"),
        st.one_of(st.none(), st.text().map(lambda text: f"secret {text} secret"), st.integers()),
        min_size=1,
    )
)
def test_no_record_is_quoted(record):
    with pytest.raises(InputError) as caught:
        RowReader().row(record, "f.csv, line 2")
    assert "secret" not in str(caught.value)


def test_what_a_chat_template_says_of_a_text_is_not_repeated(material):
    from ngdiff.data import resolve_template
    from ngdiff.modeling import load_tokenizer

    tokenizer = load_tokenizer(material.model)
    for said, shown in (("messages[0]['content']", "TemplateError"), ("'no system turn'", "no system turn")):
        tokenizer.chat_template = "{{ raise_exception(" + said + ") }}"
        rows = [RowReader().row({"question": TEXTS[0], "answer": TEXTS[1]}, "f.jsonl, line 1")]
        with pytest.raises(InputError, match=shown) as caught:
            resolve_template("chat", tokenizer, rows).render(rows[0])
        assert TEXTS[0] not in str(caught.value)


# ---- permissions -------------------------------------------------------------------------------------------------

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
@pytest.mark.parametrize(("umask", "files", "folders", "rank"), [(0o022, 0o644, 0o755, 0), (0o027, 0o640, 0o750, 2)])
def test_all_files_of_a_run_follow_the_umask(material, tmp_path, umask, files, folders, rank):
    folder, before = tmp_path / "run", os.umask(umask)
    try:
        succeeded(run(*material.words(folder, num_train_epochs=1, lora_rank=rank, forget_objective="npo")))
    finally:
        os.umask(before)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    weights = "model.safetensors" if rank == 0 else "adapter_model.safetensors"
    assert {weights, f"checkpoints/checkpoint-1/{weights}", "tokenizer.json"} <= found.keys()
    assert [name for name in found if name.startswith("reference/") and name.endswith(".safetensors")]
    wrong = {n: oct(mode(p)) for n, p in found.items() if mode(p) != (folders if p.is_dir() else files)}
    assert wrong == {}


@posix
def test_what_holds_texts_is_for_its_owner_alone(material, tmp_path, whole, copy_of, monkeypatch):
    from ngdiff.evaluation.journal import Journal

    add, seen = Journal.add, []

    def watched(self, *entry):
        add(self, *entry)
        seen.extend(mode(path) for path in (tmp_path / "e" / "private").iterdir())

    monkeypatch.setattr(Journal, "add", watched)
    succeeded(run(*evaluate_words(material, tmp_path / "e", "--tokens-per-batch", 80)))
    private = tmp_path / "e" / "private"
    assert len(list(private.iterdir())) == 3
    assert {mode(path) for path in private.iterdir()} | set(seen) == {0o600}
    assert mode(private) == 0o700
    assert mode(tmp_path / "e" / "metrics.json") == mode(written(tmp_path, "other", ""))


@posix
def test_what_an_earlier_version_left_open_is_closed(material, whole, copy_of):
    folder = copy_of(whole)
    (folder / "metrics.json").unlink()
    for path in (folder / "private").iterdir():
        path.chmod(0o644)
    succeeded(run(*evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm", "--resume")))
    assert {mode(path) for path in (folder / "private").iterdir()} == {0o600}
