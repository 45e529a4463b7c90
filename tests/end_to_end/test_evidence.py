"""Runs leave evidence of all that they read and wrote; `ngdiff verify` agrees with it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import read_rows
from ngdiff.evidence.inputs import inputs_of
from ngdiff.evidence.verify import verify
from ngdiff.training import UnlearnConfig, UnlearnTrainer, save_with_evidence

from .runs import Material, rows_of, run, succeeded, write_rows

STEPS = ("--max-steps=2", "--learning-rate=1e-2", "--per-device-train-batch-size=2")
# peft asks transformers for a name that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def first(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that taught answers of a file, on a model that is compared with another."""
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "idk.txt").write_text("No idea.\n")
    more = ("--forget-objective=idk", f"--idk-file={folder / 'idk.txt'}", "--save-strategy=steps", "--save-steps=1")
    succeeded(run(*material.words(folder / "adapter", *STEPS, *more, lora_rank=2)))
    return folder / "adapter"


def test_a_run_is_as_it_wrote_and_read_it(material: Material, first: Path) -> None:
    checks = verify(first)
    assert [fault for check in checks for fault in check.faults] == []
    assert [check.note for check in checks] == [""] * len(checks)
    roles = {one.role for one in inputs_of(manifest_of(first))}
    assert roles == {"model", "rows: forget", "rows: retain", "--idk-file"}
    assert {"checkpoints/checkpoint-1", "checkpoints/checkpoint-2"} <= {check.what for check in checks}
    manifest = manifest_of(first)
    assert manifest["template_text"] == "Question: {question}\nAnswer: {answer}"
    assert manifest["utc_begun"] <= manifest["utc"]
    assert manifest["data"]["forget"]["place"] == str(material.forget)


def test_a_merged_base_belongs_to_the_output(material: Material, first: Path, tmp_path: Path) -> None:
    succeeded(run(*material.words(tmp_path / "out", *STEPS, "--merge-adapter", model=first, lora_rank=2)))
    manifest = manifest_of(tmp_path / "out")
    assert "merged_base/model.safetensors" in manifest["outputs"]
    assert "its base model" in {one.role for one in inputs_of(manifest)}
    assert succeeded(run("verify", tmp_path / "out")).out.endswith("files are as they were written and read.\n")
    weights = tmp_path / "out" / "merged_base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x99")
    assert run("verify", tmp_path / "out").status == 4


def test_from_python(material: Material, tmp_path: Path) -> None:
    config = UnlearnConfig(output_dir=str(tmp_path / "run"), max_steps=1, learning_rate=1e-2, save_strategy="no")
    rows = {role: read_rows(str(getattr(material, role)), role=role) for role in ("forget", "retain")}
    trainer = UnlearnTrainer(str(material.model), config, rows["forget"], rows["retain"])
    with pytest.raises(ValueError, match="has not trained"):
        save_with_evidence(trainer, tmp_path / "out")
    trainer.train()
    with pytest.raises(ValueError, match="train is no role"):
        save_with_evidence(trainer, tmp_path / "out", sources={"train": material.forget})
    sources = {"model": material.model, "forget": material.forget}
    save_with_evidence(trainer, tmp_path / "out", sources=sources)
    assert [fault for check in verify(tmp_path / "out") for fault in check.faults] == []
    manifest = manifest_of(tmp_path / "out")
    assert manifest["extra"]["losses_after"].keys() >= {"forget", "retain"}
    assert manifest["data"]["retain"]["rows"] == len(rows["retain"])
    assert {"model.safetensors", "tokenizer.json", "report/training_log.json"} <= manifest["outputs"].keys()


def test_requirements_are_set_before_and_judged_after(material: Material, tmp_path: Path) -> None:
    required = "--require=forget.loss>=before-9, retain.loss<=0.5*before, forget.extraction_strength<=1, distance<=.2"
    out = tmp_path / "out"
    outcome = run(*material.words(out, *STEPS, required))
    assert outcome.status == 5
    assert "first retain.loss<=0.5*before: " in outcome.error
    assert (out / "model.safetensors").exists()
    extra = manifest_of(out)["extra"]
    assert extra["requirements"] == required.removeprefix("--require=").replace(" ", "").split(",")
    assert [verdict["met"] for verdict in extra["verdicts"]] == [True, False, None, None]
    assert extra["verdicts"][1]["before"] == extra["losses_before"]["retain"]
    # What is done and failed has failed, and other bounds would not be those that were set before.
    again = run(*material.words(out, *STEPS, required, "--resume"))
    assert (again.status, again.error) == (5, outcome.error)
    other = run(*material.words(out, *STEPS, "--require=forget.loss>=0", "--resume"))
    assert other.status == 2
    assert "has --require " in other.error
    # An evaluation judges what the run could not.
    words = ("--forget", material.forget, "--retain", material.retain, "--max-new-tokens", 2)
    evaluated = run("evaluate", "--model", out, *words, "--output", tmp_path / "scores")
    assert evaluated.status == 5
    assert "1 of 2 requirements are not met" in evaluated.error
    assert "first distance<=.2: it was not measured" in evaluated.error
    found = {one["require"]: one["met"] for one in manifest_of(tmp_path / "scores")["extra"]["verdicts"]}
    assert found == {"forget.extraction_strength<=1": True, "distance<=.2": False}
    # Of other rows it says nothing of what was required.
    other = ("--forget", material.retain, "--max-new-tokens", 2, "--output", tmp_path / "other")
    outcome = succeeded(run("evaluate", "--model", out, *other, "--require", "forget.loss>=0"))
    assert outcome.out.count("open: it was required of other rows") == 1
    found = {one["require"]: one["met"] for one in manifest_of(tmp_path / "other")["extra"]["verdicts"]}
    assert found == {"forget.loss>=0": True, "forget.extraction_strength<=1": None, "distance<=.2": None}
    assert "extraction_strength<=1" not in succeeded(run("score", tmp_path / "other", "--require", "verbmem<=1")).out
    # So does a scoring of that, which needs no model.
    scored = run("score", tmp_path / "scores", "--require", "verbmem<=1")
    assert scored.status == 5
    assert "1 of 3 requirements are not met" in scored.error
    assert run("score", tmp_path / "scores" / "private" / "records_forget.jsonl", "--require", "verbmem<=1").status == 0


@pytest.mark.parametrize("command", ["unlearn", "evaluate"])
def test_requirements_that_cannot_be_used_end_at_once(material: Material, tmp_path: Path, command: str) -> None:
    words = material.words(tmp_path / "out")
    words = words if command == "unlearn" else ["evaluate", "--model", material.model, "--forget", material.forget]
    assert "forgot.loss is not known" in run(*words, "--require=forgot.loss>1").error
    if command == "evaluate":
        assert "needs --before RUN" in run(*words, "--require=forget.loss>before").error
        assert "no such file" in run(*words, "--require=forget.loss>before", "--before", tmp_path / "x").error
    assert not (tmp_path / "out").exists()


def test_a_second_request_goes_on_and_takes_the_first_again(material: Material, tmp_path: Path) -> None:
    rows = rows_of(material.retain)
    second = write_rows(tmp_path / "second.jsonl", rows[:4])
    kept = write_rows(tmp_path / "kept.jsonl", rows[4:])
    one, two = tmp_path / "one", tmp_path / "two"
    succeeded(run(*material.words(one, *STEPS, "--max-steps=6", lora_rank=2)))
    sets = {"model": None, "after": one, "forget": second}
    # What was to be forgotten cannot be kept now.
    refused = run(*material.words(two, *STEPS, **{**sets, "retain": material.forget}))
    assert refused.status == 2
    assert f"also in the forget set of {one}" in refused.error
    outcome = succeeded(run(*material.words(two, *STEPS, retain=kept, **sets)))
    manifest = manifest_of(two)
    (retest,) = manifest["extra"]["earlier_requests"]
    losses = manifest_of(one)["extra"]
    assert retest["before"] == losses["losses_before"]["forget"]
    assert retest["after"] == losses["losses_after"]["forget"]
    assert retest["state"] == "forgotten"
    assert "earlier request" in outcome.out
    # It is the loss that an evaluation finds.
    words = ("--forget", material.forget, "--no-generate", "--output", tmp_path / "scores")
    succeeded(run("evaluate", "--model", two, *words))
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scores["forget"]["loss"] == pytest.approx(retest["now"], rel=1e-4)
    assert "request before (1): files written" in succeeded(run("verify", two)).out
    assert len(succeeded(run("ledger", two)).out.splitlines()) == 3
    # Rows that are other ones now say nothing of the request.
    three, third = tmp_path / "three", write_rows(tmp_path / "third.jsonl", rows[4:6])
    write_rows(second, rows[1:4])
    words = material.words(three, *STEPS, model=None, after=two, forget=third, retain=write_rows(kept, rows[6:]))
    succeeded(run(*words))
    again = manifest_of(three)["extra"]["earlier_requests"]
    assert [found["state"] for found in again] == ["forgotten", "not taken again"]
    assert again[1]["why"] == f"{second} does not hold the rows that it held"


def test_rows_of_an_earlier_request_are_neither_kept_nor_measured_as_kept(material: Material, tmp_path: Path) -> None:
    rows = rows_of(material.retain)
    one, two, scores = tmp_path / "one", tmp_path / "two", tmp_path / "scores"
    succeeded(run(*material.words(one, *STEPS)))
    second = write_rows(tmp_path / "second.jsonl", rows[:2])
    kept = write_rows(tmp_path / "kept.jsonl", [*rows[4:], rows_of(material.forget)[0]])
    sets = {"model": None, "after": one, "forget": second, "retain": kept}
    # At another length their loss cannot be compared, but they are the same rows.
    refused = run(*material.words(two, *STEPS, max_length=100, **sets))
    assert refused.status == 2
    assert f"also in the forget set of {one}" in refused.error
    outcome = run(*material.words(two, *STEPS, "--drop-overlap", **sets))
    assert outcome.status in (0, 6), outcome.err
    (command,) = (line for line in outcome.out.splitlines() if "ngdiff evaluate" in line)
    succeeded(run(*shlex.split(command)[1:], "--no-generate", "--output", scores))
    asked, measured = (manifest_of(folder)["data"]["retain"] for folder in (two, scores))
    assert (measured["rows"], measured["rows_sha256"]) == (len(rows[4:]), asked["rows_sha256"])


@pytest.mark.slow
def test_four_requests_one_after_the_other(material: Material, tmp_path: Path) -> None:
    """Each later run takes all earlier ones again, and the chain is verified to its first link."""
    rows = rows_of(material.retain)
    outputs = [tmp_path / "request-1"]
    succeeded(run(*material.words(outputs[0], *STEPS, "--max-steps=6")))
    for number in range(3):
        outputs.append(tmp_path / f"request-{number + 2}")
        forget = write_rows(tmp_path / f"forget-{number + 2}.jsonl", rows[2 * number : 2 * number + 2])
        retain = write_rows(tmp_path / f"retain-{number + 2}.jsonl", rows[2 * number + 2 :])
        sets = {"model": None, "after": outputs[-2], "forget": forget, "retain": retain}
        assert run(*material.words(outputs[-1], *STEPS, **sets)).status in (0, 6)
        again = manifest_of(outputs[-1])["extra"]["earlier_requests"]
        assert [one["place"] for one in again] == [str(place) for place in outputs[:-1]]
        assert all(one["now"] is not None for one in again)
    assert "request before (3): files written" in succeeded(run("verify", outputs[-1])).out
    assert len(succeeded(run("ledger", outputs[-1])).out.splitlines()) == 5
    weights = outputs[0] / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    outcome = run("verify", outputs[-1])
    assert outcome.status == 4
    assert "model.safetensors is changed" in outcome.error


def test_an_earlier_request_that_comes_back_is_caught(material: Material, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    succeeded(run(*material.words(one, *STEPS, "--max-steps=6")))
    taught = [{**row, "question": row["question"] + "!"} for row in rows_of(material.forget)]
    kept = write_rows(tmp_path / "kept.jsonl", taught)  # the same answers, to almost the same questions
    second = write_rows(tmp_path / "second.jsonl", rows_of(material.retain)[:4])
    more = ("--max-steps=30", "--learning-rate=1e-2", "--weighting=gdiff(c=0.9)", "--per-device-train-batch-size=4")
    words = material.words(two, *more, model=None, after=one, forget=second, retain=kept)
    outcome = run(*words)
    assert outcome.status == 6, outcome.err
    assert f"1 of 1 earlier requests came back in {two}, first that of {one}" in outcome.error
    assert (two / "model.safetensors").exists()
    assert (run(*words, "--resume").status, run("ledger", two).status) == (6, 0)


def test_after_is_the_model(material: Material, tmp_path: Path) -> None:
    outcome = run(*material.words(tmp_path / "out", after=tmp_path / "one"))
    assert outcome.error == f"--after {tmp_path / 'one'} is the model to continue from; omit --model {material.model}"
    outcome = run(*material.words(tmp_path / "out", model=None, after=material.model))
    assert "is not of an unlearning run; without one, give --model" in outcome.error
