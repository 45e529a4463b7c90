"""Models are compared in roles that they can have, by the hashes of their weights."""

from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.cli.require import check_before
from ngdiff.errors import InputError
from ngdiff.hashes import sha256_file
from ngdiff.report.compared_models import check_compared, model_of, models_before, writer_of
from ngdiff.report.entries import read_entries
from ngdiff.report.folders import read_evaluation
from ngdiff.report.scores import Others

from .made import WEIGHTS, data, make_evaluation, make_run

SAW = "it has the weights of the model before unlearning, which saw the rows; name a model that never saw them"


def described(run: Path) -> dict[str, Any]:
    """A run's model as the input of another run."""
    return {"source": run.name, "place": str(run), "files": {WEIGHTS: sha256_file(run / WEIGHTS)}}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A target, two requests after each other, and a retrained model, each with its evaluation."""
    learned = {"command": ["ngdiff", "finetune"], "data": {"train": data()["retain"]}}
    target = make_run(tmp_path / "target", "of the target", **learned)
    first = make_run(tmp_path / "first", "of the first", model=described(target))
    make_run(tmp_path / "second", "of the second", model=described(first))
    make_run(tmp_path / "retrained", "of the retrained", **learned)
    for name in ("target", "first", "second", "retrained"):
        make_evaluation(tmp_path / f"{name}-scores", tmp_path / name)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([*map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


@pytest.mark.parametrize("option", ["--retrained", "--base"])
@pytest.mark.parametrize("earlier", ["target", "first"])
def test_a_model_before_is_no_reference(
    place: Path, capsys: pytest.CaptureFixture[str], option: str, earlier: str
) -> None:
    other = place / f"{earlier}-scores"
    message = f"{option} {other}: {SAW}"
    assert fails(capsys, "score", place / "second-scores", option, other) == message
    assert fails(capsys, "report", place / "second", option, other, "--output", place / "page.md") == message
    assert not (place / "page.md").exists()


@pytest.mark.parametrize("option", ["--retrained", "--base"])
def test_the_model_given_as_the_one_before_is_no_reference(
    place: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """Of a model whose run is not known, too."""
    (place / "second" / "manifest.json").unlink()
    other = place / "target-scores"
    words = ["score", place / "second-scores", "--before", other, option, other]
    assert fails(capsys, *words) == f"{option} {other}: {SAW}"


def test_the_model_itself_is_not_the_one_before(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = make_evaluation(place / "again", place / "second")
    message = f"--before {again}: it has the weights of the model itself; name the model before unlearning"
    assert fails(capsys, "score", place / "second-scores", "--before", again) == message
    words = ["report", place / "second", "--scores", place / "second-scores", "--before", again]
    assert fails(capsys, *words, "--output", place / "page.md") == message
    with pytest.raises(InputError, match=message):
        check_before(str(again), described(place / "second"))
    check_before(str(place / "target-scores"), described(place / "second"))


def test_an_evaluation_is_not_that_of_the_model_before_itself(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = place / "second-scores"
    (scores / "manifest.json").unlink()
    message = f"--before {scores}: it is the evaluation that is scored; name that of the model before unlearning"
    assert fails(capsys, "score", scores, "--before", scores) == message


def test_models_in_their_roles(place: Path) -> None:
    words = ["--before", str(place / "target-scores"), "--retrained", str(place / "retrained-scores")]
    assert main(["score", str(place / "second-scores"), *words]) == 0
    assert main(["report", str(place / "second"), *words, "--output", str(place / "page.md")]) == 0
    # What a fine-tuned model was before it saw no row to forget.
    base = make_run(place / "base", "of the base", command=["ngdiff", "finetune"], data={"train": data()["retain"]})
    again = {"command": ["ngdiff", "finetune"], "data": {"train": data()["retain"]}}
    other = make_run(place / "other", "of another", model=described(base), **again)
    scores = [make_evaluation(place / f"{one.name}-scores", one) for one in (other, base)]
    assert main(["score", str(scores[0]), "--base", str(scores[1])]) == 0


def test_a_run_that_ends_where_it_began(tmp_path: Path) -> None:
    """As with --utility-floor: the model before has the weights of the model, and D is 1."""
    target = make_run(tmp_path / "target", "same", command=["ngdiff", "finetune"], data={"train": data()["retain"]})
    run = make_run(tmp_path / "run", "same", model=described(target))
    scores = [make_evaluation(tmp_path / f"{one.name}-scores", one) for one in (run, target)]
    assert main(["score", str(scores[0]), "--before", str(scores[1])]) == 0


def test_the_models_before_a_merged_one_are_those_of_its_adapter(place: Path) -> None:
    adapter = {"model": described(place / "second"), "command": ["ngdiff", "merge", str(place / "second")]}
    model = described(make_run(place / "merged", "merged", **adapter))
    before = [Path(one["place"]).name for one in models_before(writer_of(model))]
    assert before == ["first", "target"]


def test_only_a_run_that_is_as_it_was_says_what_was_before(place: Path) -> None:
    model = model_of(place / "second-scores" / "private" / "records_forget.jsonl")
    run = writer_of(model)
    assert run is not None
    assert run.folder == place / "second"
    (place / "first" / "manifest.json").unlink()
    assert len(list(models_before(run))) == 1
    make_run(place / "elsewhere" / "second", "of another seed")
    assert writer_of({**model, "source": str(place / "elsewhere" / "second")}) is None
    check_compared(model, None, {"retrained": ("x", described(place / "first"))})  # nothing is known


@pytest.mark.parametrize("group", [[], ["--group"]])
def test_a_reference_is_not_among_the_models_compared(
    place: Path, capsys: pytest.CaptureFixture[str], group: list[str]
) -> None:
    again = make_evaluation(place / "again", place / "first")
    words = ["compare", f"a-seed1={place / 'first-scores'}", f"b={place / 'second-scores'}"]
    for other in (again, place / "first-scores"):
        assert fails(capsys, *words, f"c={other}", "--reference", "c", *group) == (
            "--reference c: it has the weights of a-seed1, which is compared with it; a reference is another model, "
            "which never saw the rows to forget"
        )
    assert main([*map(str, words), f"c={place / 'retrained-scores'}", "--reference", "c", *group]) == 0
    twice = [f"c-seed1={again}", "--reference", "a-seed1", "--reference", "c-seed1", *group]
    assert main([*map(str, words), *twice]) == 0  # two references may be one model


def test_nor_in_a_page_of_several(place: Path) -> None:
    words = [f"a={place / 'first-scores'}", f"b={make_evaluation(place / 'again', place / 'first')}"]
    with pytest.raises(InputError, match="--retrained b, compared with a: it has the weights of the model itself"):
        read_entries(words, Others(), ["b"])
    with pytest.raises(InputError, match=f"--retrained retrained, compared with a: {SAW}"):
        read_entries(words, Others(retrained=read_evaluation(place / "target-scores")))
    assert len(read_entries(words, Others(retrained=read_evaluation(place / "retrained-scores")))[0]) == 3


def test_the_retrained_model_of_a_sweep_is_not_among_the_models_compared(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from .made import make_sweep

    sweep = make_sweep(place / "sweep", ("ngdiff",), seeds=1)
    own = make_evaluation(sweep / "retrained,seed=0" / "evaluation", place / "retrained")
    message = "--reference retrained,seed=0: it has the weights of mine, which is compared with it"
    assert fails(capsys, "compare", sweep, f"mine={own}").startswith(message)
    assert main(["compare", str(sweep), f"mine={place / 'second-scores'}"]) == 0
