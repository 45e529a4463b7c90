"""Options that would change nothing for the rows of a run, or beside its other options: status 2, and the reason."""

import shlex
from pathlib import Path

import pytest

from ngdiff.data import read_rows

from .runs import Material, rows_of, run, succeeded, twin, write_rows

QUESTIONS = "--forget has questions and answers, --retain has questions and answers; leave it out"


@pytest.mark.parametrize("option", ["--chunk-tokens", "--chunk-overlap"])
@pytest.mark.parametrize("command", ["unlearn", "dry run", "evaluate", "check", "audit"])
def test_chunks_of_rows_that_are_never_chunked(material: Material, tmp_path: Path, command: str, option: str) -> None:
    out = [] if command == "check" else ["--output", tmp_path / "out"]
    name = "unlearn" if command == "dry run" else command
    sets = ["--model", material.model, "--forget", material.forget, "--retain", material.retain]
    outcome = run(name, *sets, *out, option, 40, *(["--dry-run"] if command == "dry run" else []))
    assert outcome.status == 2
    assert outcome.error == (
        f"{option} 40 changes nothing: it is for documents and other texts without a prompt, and {QUESTIONS}"
    )
    assert not (tmp_path / "out").exists()


def test_chunks_in_finetune(material: Material, tmp_path: Path) -> None:
    words = ["finetune", "--model", material.shape, "--output", tmp_path / "out"]
    outcome = run(*words, "--train", material.forget, "--chunk-tokens", 40)
    assert outcome.status == 2
    assert "--chunk-tokens 40 changes nothing" in outcome.error
    texts = write_rows(tmp_path / "texts.jsonl", [{"text": "Orla lives in Tarnholm."}])
    outcome = run(*words, "--train", texts, "--chunk-overlap", 4)
    assert outcome.status == 2
    assert outcome.error.startswith("--chunk-overlap 4 changes nothing without --chunk-tokens: texts that are no docum")
    assert "(--train)" in outcome.error
    assert not (tmp_path / "out").exists()


def test_chunks_of_one_set_of_two(material: Material, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("\n".join(row["answer"] for row in rows_of(material.forget)), encoding="utf-8")
    sets = ["--forget", tmp_path / "notes.md", "--retain", material.retain, "--chunk-tokens", 40]
    out = succeeded(run("evaluate", "--model", material.model, *sets, "--no-generate")).out
    assert "forget rows are chunks of 1 document" in out


@pytest.mark.parametrize("role", ["holdout", "protect"])
def test_columns_of_a_set_that_is_not_read(material: Material, tmp_path: Path, role: str) -> None:
    outcome = run(*material.words(tmp_path / "u"), f"--{role}-columns=question=title,answer=reply")
    assert outcome.status == 2
    assert outcome.error == f"--{role}-columns question=title,answer=reply changes nothing without --{role} FILE"


def test_columns_without_rows_of_ones_own(material: Material) -> None:
    words = ["evaluate", "--model", material.model, "--benchmark", "tofu:./no"]
    outcome = run(*words, "--columns", "question=title,answer=reply")
    assert outcome.status == 2
    assert outcome.error.startswith("--columns question=title,answer=reply changes nothing: no rows of your own")


def test_the_command_that_follows_reads_made_rows_by_their_own_columns(material: Material, tmp_path: Path) -> None:
    rows = [{"title": row["question"], "reply": row["answer"]} for row in rows_of(material.forget)]
    forget = write_rows(tmp_path / "forget.jsonl", rows)
    words = ["unlearn", "--model", material.model, "--forget", forget, "--retain", "auto", "--output", tmp_path / "u"]
    out = succeeded(run(*words, "--columns", "question=title,answer=reply", "--max-steps", 1)).out
    succeeded(run(*shlex.split(out.rstrip().rpartition("\n")[2])[1:], "--no-generate"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt-tokens", 5], "--prompt-tokens 5 changes nothing: it is for texts without a prompt, and no set has"),
        (["--split", "forget05"], "--split forget05 changes nothing without --benchmark tofu; leave it out"),
        (["--benchmark-rows", 7], "--benchmark-rows 7 changes nothing without --benchmark; leave it out"),
        (
            ["--no-generate", "--max-new-tokens", 7],
            "--max-new-tokens 7 changes nothing with --no-generate: nothing is answered; leave it out",
        ),
        (
            ["--no-generate", "--generator", "vllm"],
            "--generator vllm changes nothing with --no-generate: nothing is answered; leave it out",
        ),
    ],
)
def test_options_of_an_evaluation(material: Material, words: list[str], message: str) -> None:
    outcome = run("evaluate", "--model", material.model, "--forget", material.forget, *words)
    assert outcome.status == 2
    assert outcome.error.startswith(message)


def test_size_of_a_vocabulary_that_is_there(material: Material, tmp_path: Path) -> None:
    words = ["--model", material.model, "--train", material.forget, "--output", tmp_path / "m", "--vocab-size", 300]
    outcome = run("finetune", *words)
    assert outcome.status == 2
    assert outcome.error == (
        f"--vocab-size 300 is for shapes with random weights; {material.model} has its own tokenizer"
    )


def test_size_of_a_vocabulary_beside_a_tokenizer(material: Material, tmp_path: Path) -> None:
    words = ["--model", material.shape, "--train", material.forget, "--output", tmp_path / "m", "--vocab-size", 300]
    outcome = run("finetune", *words, "--tokenizer", material.model)
    assert outcome.status == 2
    assert outcome.error == (
        f"--vocab-size 300 changes nothing with --tokenizer {material.model}, which has its own size; leave one out"
    )
    assert not (tmp_path / "m").exists()


def test_a_base_model_in_check_without_holdout_rows(material: Material) -> None:
    words = ["--model", material.model, "--forget", material.forget, "--retain", material.retain]
    outcome = run("check", *words, "--base-model", material.model)
    assert outcome.status == 2
    assert outcome.error == (
        f"--base-model {material.model} changes nothing without --holdout FILE: it tells whether the holdout is of the "
        "same kind as the forget rows"
    )


def test_an_evaluation_before_without_a_bound(material: Material, tmp_path: Path) -> None:
    words = ["evaluate", "--model", material.model, "--forget", material.forget, "--no-generate"]
    before = tmp_path / "before"
    succeeded(run(*words, "--output", before))
    for more in ([], ["--require", "forget.loss>=0"]):
        outcome = run(*words, "--before", before, *more, "--output", tmp_path / "after")
        assert outcome.status == 2
        assert outcome.error == (
            f"--before {before} changes nothing: neither --require nor the run that made the model leaves a bound with "
            "`before` to be judged; ngdiff score and ngdiff report compare with a model before unlearning"
        )
    assert not (tmp_path / "after").exists()
    words[2] = twin(material.model, tmp_path / "twin")
    succeeded(run(*words, "--before", before, "--require", "forget.loss<=before"))


@pytest.mark.parametrize(("option", "attack"), [("--paraphrased", "prompts"), ("--canaries", "canaries")])
def test_rows_of_an_attack_that_is_not_asked_for(material: Material, tmp_path: Path, option: str, attack: str) -> None:
    words = ["audit", material.model, "--forget", material.forget, "--retain", material.retain]
    outcome = run(*words, "--output", tmp_path / "a", option, material.forget, "--attacks", "prune")
    assert outcome.status == 2
    assert outcome.error == f"{option} {material.forget} changes nothing without the attack {attack} (--attacks)"
    assert not (tmp_path / "a").exists()


def test_the_rows_of_every_kind_have_a_name(tmp_path: Path) -> None:
    """Those of a message that says what the sets have in place of texts."""
    from ngdiff.cli.reading import ReadOptions
    from ngdiff.errors import InputError

    for row, name in (
        ({"prompt": "a", "completion": "b"}, "prompts and completions"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "conversations"),
    ):
        with pytest.raises(InputError, match=f"--train has {name}; leave it out"):
            ReadOptions(chunk_tokens=40).check_used({"train": read_rows([row])})
