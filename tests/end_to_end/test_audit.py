"""`ngdiff audit` from words to `audit.json`."""

import json

import pytest

from ngdiff.audit import ATTACKS, run_attack

from .runs import rows_of, run, succeeded, twin, write_rows

CHEAP = "--attacks=quantise,prefix"


@pytest.fixture
def words(material, tmp_path):
    """The micro model beside another with its weights."""
    sets = ["--forget", material.forget, "--retain", material.retain]
    other = twin(material.model, tmp_path / "twin")
    return ["audit", material.model, *sets, "--output", tmp_path / "a", "--retrained", other]


@pytest.fixture
def no_attack(monkeypatch):
    def refuse(*_):
        raise AssertionError("an attack was run")

    monkeypatch.setattr("ngdiff.cli.audit_run.run_attack", refuse)


def test_a_model_beside_its_twin_brings_nothing_back_and_no_text_leaves_the_private_folder(material, words, tmp_path):
    out = succeeded(run(*words, CHEAP)).out
    text = (tmp_path / "a" / "audit.json").read_text()
    found = json.loads(text)
    assert found["robustness"] == 1.0
    assert found["reference"] == "retrained"
    assert list(found["attacks"]) == ["quantise", "prefix"]
    assert {own["comes_back"] for own in found["attacks"].values()} == {0.0}
    assert found["not_run"].keys() == ATTACKS.keys() - {"quantise", "prefix"}
    assert "Robustness 1.000, over quantise, prefix" in out
    assert "not run: relearn: not asked for (--attacks)" in out
    answers = [row["answer"] for row in rows_of(material.forget)]
    assert not any(answer in text + out for answer in answers)
    private = tmp_path / "a" / "private"
    assert private.stat().st_mode & 0o777 == 0o700
    forms = json.loads((private / "quantise.model.json").read_text())["forms"].values()
    assert [[record["reference"] for record in form["records"]] for form in forms] == [answers] * 2
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert {"audit.json", "private/prefix.retrained.json"} <= manifest["outputs"].keys()
    assert "files are as they were" in succeeded(run("verify", tmp_path / "a")).out  # attacks not asked for


def test_resume_runs_what_is_missing_alone(words, tmp_path, monkeypatch):
    succeeded(run(*words, "--attacks=quantise"))
    first = (tmp_path / "a" / "audit.json").read_text()
    asked = []

    def watched(attack, *rest):
        asked.append(attack)
        return run_attack(attack, *rest)

    monkeypatch.setattr("ngdiff.cli.audit_run.run_attack", watched)
    succeeded(run(*words, CHEAP, "--resume"))
    assert asked == [ATTACKS["prefix"]] * 2
    found = json.loads((tmp_path / "a" / "audit.json").read_text())
    assert found["attacks"]["quantise"] == json.loads(first)["attacks"]["quantise"]


def test_another_audit_is_not_resumed(material, words, no_attack, tmp_path):
    succeeded(run(*words, "--minutes=1e-9"))
    fewer = write_rows(tmp_path / "fewer.jsonl", rows_of(material.retain)[1:])
    other = [fewer if word == material.retain else word for word in words]
    assert "--retain does not hold what it held" in run(*other, "--resume").error


def test_what_the_budget_leaves_out_is_not_passed(words, no_attack, tmp_path):
    out = succeeded(run(*words, "--minutes=1e-9")).out
    found = json.loads((tmp_path / "a" / "audit.json").read_text())
    assert (found["robustness"], found["attacks"]) == (None, {})
    assert set(found["not_run"].values()) == {"the budget of --minutes 1e-09 was spent"}
    assert out.count("not run: ") == len(ATTACKS)
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["extra"]["finished"] is False


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--attacks", "relearn,guess"], "--attacks guess is not known; one of membership, "),
        (["--attacks", ","], "--attacks , names none"),
        (["--never-trained", "m"], "--retrained and --never-trained are both given"),
        (["--minutes", "0"], "--minutes 0 is not from above 0"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(words, no_attack, more, message):
    assert message in run(*words, *more).error


def test_a_reference_that_recites_the_rows_is_refused(material, words, no_attack, tmp_path):
    """Such as the model before unlearning: nothing could come back that it does not know."""
    learn = ("--num-train-epochs=100", "--learning-rate=1e-2", "--per-device-train-batch-size=4")
    words_of = ("--model", material.model, "--train", material.forget, "--output", tmp_path / "m")
    succeeded(run("finetune", *words_of, *learn))
    words[-1] = tmp_path / "m"
    outcome = run(*words)
    assert outcome.status == 2
    assert f"--retrained {tmp_path / 'm'}: it recites the forget rows (extraction strength " in outcome.error
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("role", ["--retrained", "--never-trained"])
def test_the_model_itself_is_no_reference(material, words, no_attack, tmp_path, role):
    """Beside itself, whatever a model still knows comes back of both, and nothing would count."""
    words[-2:] = [role, material.model]
    assert run(*words).error.startswith(f"{role} {material.model}: it has the weights of the model itself; name a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("role", "warns"), [("--retrained", True), ("--never-trained", False)])
def test_a_retrained_model_that_hardly_knows_the_retain_rows(material, words, tmp_path, caplog, role, warns):
    """Such as one from random weights: whatever comes back, little comes back of it."""
    learn = ("--num-train-epochs=60", "--learning-rate=1e-2", "--per-device-train-batch-size=4")
    learned = ("--model", material.model, "--train", material.retain, "--output", tmp_path / "m")
    succeeded(run("finetune", *learned, *learn))
    words[1], words[-2:] = tmp_path / "m", [role, material.model]
    succeeded(run(*words, "--attacks=prefix"))
    assert (f"--retrained {material.model} hardly knows the retain rows (loss " in caplog.text) == warns


def test_a_reference_with_other_tokens_is_named_by_its_option(material, words, no_attack, tmp_path):
    words_of = ("--model", material.shape, "--train", material.forget, "--output", tmp_path / "m", "--max-steps=1")
    succeeded(run("finetune", *words_of))
    words[-1] = tmp_path / "m"
    assert run(*words).error.startswith(f"--retrained {tmp_path / 'm'}: its token ")


def test_rows_before_under_another_name_are_refused(material, words, no_attack, tmp_path):
    """Their D would be missing without a word."""
    other = write_rows(tmp_path / "other.jsonl", rows_of(material.forget))
    rows = ["--forget", other, "--retain", material.retain, "--no-generate"]
    succeeded(run("evaluate", "--model", material.model, *rows, "--output", tmp_path / "e"))
    error = run(*words, "--before", tmp_path / "e").error
    assert error.startswith("--before is of other forget rows than --forget, or was given their file by another name: ")


def test_paraphrased_rows_are_those_of_the_forget_set(material, words, no_attack, tmp_path):
    assert "rows, but --forget has 4; give one for each" in run(*words, "--paraphrased", material.retain).error
    other = write_rows(tmp_path / "other.jsonl", [{"question": "Who?", "answer": f"Nobody {i}."} for i in range(4)])
    assert "its answer is not that of" in run(*words, "--paraphrased", other).error


def test_score_takes_the_robustness_of_an_audit(material, tmp_path):
    rows = ["--forget", material.forget, "--retain", material.retain, "--no-generate"]
    succeeded(run("evaluate", "--model", material.model, *rows, "--output", tmp_path / "e"))
    (tmp_path / "audit.json").write_text('{"robustness": 0.75}')
    out = succeeded(run("score", tmp_path / "e", "--audit", tmp_path, "--output", tmp_path / "m.json")).out
    assert json.loads((tmp_path / "m.json").read_text())["aggregates"]["robustness"] == 0.75
    assert "Robustness score" in out
    for content, message in (
        ("{}", "is not an audit.json of ngdiff"),
        ('{"robustness": 2}', "robustness is 2; it must be"),
    ):
        (tmp_path / "audit.json").write_text(content)
        assert message in run("score", tmp_path / "e", "--audit", tmp_path).error
    assert "there is no audit.json" in run("score", tmp_path / "e", "--audit", tmp_path / "none").error
