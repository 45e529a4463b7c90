"""`--task image`, as a user types it."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification

import ngdiff
from ngdiff.data import read_images
from ngdiff.exit_codes import NOT_AS_WRITTEN
from ngdiff.modeling.cifar_resnet import CifarResNetConfig
from ngdiff.report.logs import read_log

from .runs import everything_in, rows_of, run, steps_of, succeeded, weights_of

NAMES = ["ant", "bee", "cow"]


def write(path: Path, *, names: list[str] = NAMES, size: int = 8, channels: int = 3, seed: int = 0) -> Path:
    """Images in which each class has a bright channel of its own."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % len(names)
        pixels = rng.integers(0, 180, (count, size, size, channels), dtype=np.uint8)
        pixels[np.arange(count), ..., labels % channels] += 75
        return pixels, labels

    (x_train, y_train), (x_test, y_test) = some(90), some(30)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, class_names=names)
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A folder with `data.npz`, a shape, and a target that knows the classes."""
    folder = tmp_path_factory.mktemp("images")
    write(folder / "data.npz")
    config = CifarResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    config.to_json_file(folder / "tiny.json")
    options = ["--num-train-epochs", 12, "--per-device-train-batch-size", 10, "--augment", "false", "--seed", 0]
    words = ["finetune", "--task", "image", "--model", folder / "tiny.json", "--dataset", folder / "data.npz"]
    outcome = succeeded(run(*words, *options, "--disable-tqdm", "true", "--output", folder / "target"))
    assert "the model is in" in outcome.out
    return folder


def unlearn_words(material: Path, output: Path, *more) -> list:
    model = ["--model", material / "target"]
    data = [] if "--dataset" in more else ["--dataset", material / "data.npz"]
    return ["unlearn", "--task", "image", *model, *data, "--output", output, "--disable-tqdm", "true", *more]


def scores(material: Path, model: Path, output: Path, *more) -> dict:
    words = ["--model", model, "--dataset", material / "data.npz", *(more or ("--forget-class", "bee"))]
    outcome = succeeded(run("evaluate", "--task", "image", *words, "--output", output))
    assert "accuracy" in outcome.out
    return json.loads((output / "metrics.json").read_text())


def test_the_target_can_be_loaded_by_name_and_says_how_it_was_made(material: Path):
    model = AutoModelForImageClassification.from_pretrained(material / "target")
    assert model.config.id2label == dict(enumerate(NAMES))
    manifest = json.loads((material / "target" / "manifest.json").read_text())
    assert manifest["data"]["train"]["rows"] == 90
    assert manifest["model"]["shape"].endswith("tiny.json")


def test_a_class_is_forgotten(material: Path, tmp_path: Path):
    before = scores(material, material / "target", tmp_path / "before")
    assert before["forget"]["accuracy"] > 0.9
    assert before["retain"]["accuracy"] > 0.9
    assert {name: before[name]["n"] for name in ("forget", "retain", "holdout", "test")} == {
        "forget": 30,
        "retain": 60,
        "holdout": 10,
        "test": 20,
    }
    output = tmp_path / "out"
    more = ["--forget-class", "bee", "--per-device-train-batch-size", 10]
    outcome = succeeded(run(*unlearn_words(material, output, *more)))
    after = scores(material, output, tmp_path / "after")
    assert after["forget"]["accuracy"] < 0.2
    assert after["retain"]["accuracy"] > 0.9
    assert after["test"]["accuracy"] > 0.8
    assert 0 <= after["membership"]["loss"]["auc"] <= 1
    assert after["membership"]["loss"]["n_forget"] == 30
    # The command that the run proposes scores the same sets.
    proposed = outcome.out.splitlines()[-1].split()
    assert proposed[:2] == ["ngdiff", "evaluate"]
    assert json.loads((tmp_path / "after" / "manifest.json").read_text())["data"]["forget"]["rows"] == 30
    again = succeeded(run(*proposed[1:]))
    assert f"{after['forget']['loss']:.4f}" in again.out
    records = (tmp_path / "after" / "private" / "records_forget.jsonl").read_text().splitlines()
    assert sorted(json.loads(records[0])) == ["index", "label", "n_tokens", "nll_sum", "predicted", "set"]
    assert (output / "report" / "curves.png").is_file()
    assert (output / "preprocessor_config.json").read_bytes() == (
        material / "target" / "preprocessor_config.json"
    ).read_bytes()


def test_records_are_scored_again_to_the_same_numbers(material: Path, tmp_path: Path):
    first = scores(material, material / "target", tmp_path / "scores")
    succeeded(run("score", tmp_path / "scores", "--output", tmp_path / "again.json"))
    again = json.loads((tmp_path / "again.json").read_text())
    for name in ("forget", "retain", "holdout", "test"):
        assert again[name] == first[name]
    assert again["membership"]["loss"]["auc"] == first["membership"]["loss"]["auc"]


def test_random_rows(material: Path, tmp_path: Path):
    rows = ["--forget-rows", 8, "--forget-seed", 3]
    outcome = succeeded(run(*unlearn_words(material, tmp_path / "out", *rows, "--max-steps", 2)))
    assert "--forget-rows 8 --forget-seed 3" in outcome.out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["extra"]["method"]["forget"] == "lowered"  # towards the losses of the test images
    found = scores(material, tmp_path / "out", tmp_path / "scores", *rows)
    assert (found["forget"]["n"], found["retain"]["n"], found["holdout"]["n"]) == (8, 82, 30)


def test_named_images(material: Path, tmp_path: Path):
    """A file of names goes with the run: evaluated, resumed, verified, repeated and reported."""
    names = tmp_path / "request 7.txt"
    names.write_text("5\n17\n0\n")
    rows, output = ["--forget-images", names], tmp_path / "out"
    outcome = succeeded(run(*unlearn_words(material, output, *rows, "--max-steps", 2)))
    proposed = shlex.split(outcome.out.splitlines()[-1])
    assert proposed[proposed.index("--forget-images") + 1] == str(names)
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["data"]["forget"]["rows"], manifest["data"]["retain"]["rows"]) == (3, 87)
    assert manifest["own"]["forget-images"]["file_sha256"] == hashlib.sha256(names.read_bytes()).hexdigest()
    assert manifest["extra"]["method"]["forget"] == "lowered"  # towards the losses of the test images
    assert f"forget_images: {names}" in (output / "config.yaml").read_text()
    assert "3 named in request 7.txt (SHA-256 " in (output / "README.md").read_text()
    done = succeeded(run(*unlearn_words(material, output, *rows, "--max-steps", 2, "--resume")))
    assert "nothing is left to do" in done.out

    succeeded(run(*proposed[1:], "--output", tmp_path / "scores"))
    records = (tmp_path / "scores" / "private" / "records_forget.jsonl").read_text().splitlines()
    assert [json.loads(line)["index"] for line in records] == [0, 5, 17]
    assert "forget-images" in json.loads((tmp_path / "scores" / "manifest.json").read_text())["own"]
    succeeded(run("report", output, "--scores", tmp_path / "scores", "--output", tmp_path / "page.md"))
    assert "3 named in request 7.txt" in (tmp_path / "page.md").read_text()

    words = ["finetune", "--task=image", "--model", material / "tiny.json", "--dataset", material / "data.npz", *rows]
    succeeded(run(*words, "--max-steps", 1, "--disable-tqdm", "true", "--output", tmp_path / "reference"))
    reference = json.loads((tmp_path / "reference" / "manifest.json").read_text())
    assert reference["data"]["train"]["rows_sha256"] == manifest["data"]["retain"]["rows_sha256"]
    assert reference["own"] == manifest["own"]

    verified = succeeded(run("verify", output, "--replay", tmp_path / "again"))
    assert "--forget-images: " in verified.out
    names.write_text("5\n17\n1\n")
    changed = run("verify", output)
    assert changed.status == NOT_AS_WRITTEN
    assert "request 7.txt is changed" in changed.out + changed.err
    refused = run(*unlearn_words(material, output, *rows, "--max-steps", 2, "--resume"))
    assert refused.error.startswith("--resume: --forget-images does not hold what it held when the run in ")


@pytest.mark.parametrize("command", ["unlearn", "evaluate", "finetune"])
@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("", [], "--forget-images {names}: names no image; expected one a line"),
        (
            "3\n90",
            [],
            "--forget-images {names}, line 2: '90' is no number of a training image of {data}:train: they are 0 to 89",
        ),
        ("3", ["--forget-rows", 2], "--forget-images {names} and --forget-rows 2: give one of them"),
        ("3", ["--forget-class", "bee"], "--forget-images {names} and --forget-class bee: give one of them"),
        (
            "3",
            ["--forget-seed", 2],
            "--forget-seed 2 changes nothing without --forget-class or --forget-rows: no image is drawn",
        ),
    ],
)
def test_names_that_cannot_be_used(material: Path, tmp_path: Path, command: str, text: str, more: list, message: str):
    names = tmp_path / "names.txt"
    names.write_text(text)
    words = ["--task", "image", "--model", material / "target", "--dataset", material / "data.npz", *more]
    outcome = run(command, *words, "--forget-images", names, "--output", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.error == message.format(names=names, data=material / "data.npz")
    assert not (tmp_path / "out").exists()


def write_folder(folder: Path, data: Path) -> Path:
    """The images of an array file as a folder of files: `train/CLASS/NUMBER.png`, `test/CLASS/NUMBER.png`."""
    arrays = np.load(data)
    for split in ("train", "test"):
        for number, (pixels, label) in enumerate(zip(arrays[f"x_{split}"], arrays[f"y_{split}"], strict=True)):
            place = folder / split / NAMES[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number:02d}.png")
    return folder


def test_named_images_of_a_folder(material: Path, tmp_path: Path):
    """A whole run: these are forgotten, the others are not, and the evaluation that it proposes is of these.

    By ascent: test images of these classes are as easy as training images, so that there is nothing to lower. The model
    is not yet so sure that its gradients vanish.
    """
    pets = write_folder(tmp_path / "my pets", material / "data.npz")
    names, output = tmp_path / "names.txt", tmp_path / "out"
    named = ["train/bee/01.png", "train/ant/00.png", "train/cow/08.png"]
    names.write_text("".join(f"{name}\n" for name in named))
    data = ["--task", "image", "--dataset", pets, "--disable-tqdm", "true"]
    learn = ["--num-train-epochs", 3, "--per-device-train-batch-size", 10, "--augment", "false", "--seed", 0]
    target = tmp_path / "target"
    succeeded(run("finetune", *data, "--model", material / "tiny.json", *learn, "--output", target))
    words = [*data, "--model", target, "--forget-images", names, "--method", "ngdiff", "--num-train-epochs", 40]
    outcome = succeeded(run("unlearn", *words, "--output", output))
    manifest = json.loads((output / "manifest.json").read_text())
    assert {name: part["rows"] for name, part in manifest["data"].items()} == {
        "forget": 3,
        "retain": 87,
        "holdout": 30,
        "test": 30,
    }
    succeeded(run(*shlex.split(outcome.out.splitlines()[-1])[1:], "--output", tmp_path / "after"))
    before, after = manifest["extra"]["losses_before"], manifest["extra"]["losses_after"]
    assert after["forget"] > 5 * before["forget"]
    assert after["forget"] > 2 * after["retain"]
    scored = json.loads((tmp_path / "after" / "metrics.json").read_text())
    assert scored["forget"]["loss"] == pytest.approx(after["forget"], abs=1e-4)
    assert scored["retain"]["accuracy"] > 0.9
    records = rows_of(tmp_path / "after" / "private" / "records_forget.jsonl")
    files = read_images(pets).train.files
    assert files is not None
    assert [files[record["index"]] for record in records] == sorted(named)
    assert [record["label"] for record in records] == [0, 1, 2]
    verified = succeeded(run("verify", output))
    assert "--forget-images: " in verified.out


def test_images_of_an_earlier_request_are_not_kept(material: Path, tmp_path: Path, caplog):
    """The last run of three: it names one image of the first, and none of the second, which is a class."""
    caplog.set_level("INFO", logger="ngdiff")

    def request(number: int, *more: object, model: Path) -> tuple[Path, str]:
        words = ["--task", "image", "--model", model, "--dataset", material / "data.npz", "--max-steps", 1]
        caplog.clear()
        out = succeeded(run("unlearn", *words, *more, "--disable-tqdm", "true", "--output", tmp_path / f"{number}")).out
        return tmp_path / f"{number}", out.splitlines()[-1]

    def named(number: int, *rows: int) -> Path:
        names = tmp_path / f"names {number}.txt"
        names.write_text("".join(f"{row}\n" for row in rows))
        return names

    def rows_in(folder: Path) -> dict[str, int]:
        manifest = json.loads((folder / "manifest.json").read_text())
        return {name: part["rows"] for name, part in manifest["data"].items()}

    first, _ = request(1, "--forget-images", named(1, 5, 17), model=material / "target")
    assert "earlier runs" not in caplog.text
    assert rows_in(first) == {"forget": 2, "retain": 88, "holdout": 30, "test": 30}
    second, _ = request(2, "--forget-class", "bee", "--forget-rows", 3, model=first)
    assert "2 of 60 images that earlier runs were to forget, or like those, left out of those to keep." in caplog.text
    assert rows_in(second) == {"forget": 3, "retain": 58, "holdout": 10, "test": 20}
    third, command = request(3, "--forget-images", named(3, 5, 20), model=second)
    # All 30 bees, and the image of the first request that is not named again.
    assert "31 of 88 images that earlier runs were to forget, or like those, left out" in caplog.text
    assert rows_in(third) == {"forget": 2, "retain": 57, "holdout": 20, "test": 20}
    succeeded(run(*shlex.split(command)[1:], "--output", tmp_path / "scores"))  # of the same images
    data = [json.loads((folder / "manifest.json").read_text())["data"] for folder in (third, tmp_path / "scores")]
    assert data[0] == data[1]
    fourth, _ = request(4, "--forget-images", named(4, 5, 17, 20), model=first)
    assert "earlier runs" not in caplog.text
    assert rows_in(fourth)["retain"] == 87
    named(1, 5, 18)
    request(5, "--forget-images", named(5, 5, 17, 20), model=first)
    assert (
        f"{tmp_path / 'names 1.txt'}, which names the images that the run in {first} was to forget, is" in caplog.text
    )


@pytest.mark.parametrize("command", ["unlearn", "evaluate", "finetune"])
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--forget-images", "NAMES"], "line 2: 'train/bee/00.png' is no training image of "),
        (["--forget-class", "be"], "--forget-class be: there is no such class; did you mean bee?"),
        (["--forget-rows", 90], "--forget-rows 90: there are 90 training images; some must be left to keep"),
    ],
)
def test_what_is_not_there_to_be_forgotten_is_found_before_an_image_is_read(
    material: Path, tmp_path: Path, command: str, more: list, message: str
):
    pets, names = write_folder(tmp_path / "pets", material / "data.npz"), tmp_path / "names.txt"
    (pets / "train" / "ant" / "00.png").write_bytes(b"no image")
    names.write_text("train/bee/01.png\ntrain/bee/00.png\n")
    words = ["--task", "image", "--model", material / "target", "--dataset", pets, "--output", tmp_path / "out"]
    outcome = run(command, *words, *(names if word == "NAMES" else word for word in more))
    assert outcome.status == 2
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


def test_overwriting_never_deletes_the_names(material: Path, tmp_path: Path):
    output = tmp_path / "out"
    succeeded(run(*unlearn_words(material, output, "--forget-class", "bee", "--max-steps", 1)))
    names = output / "names.txt"
    names.write_text("3\n")
    outcome = run(*unlearn_words(material, output, "--forget-images", names, "--overwrite"))
    assert "--overwrite would delete" in outcome.error
    assert names.is_file()


def test_the_reference_never_sees_what_is_to_be_forgotten(material: Path, tmp_path: Path):
    words = ["finetune", "--task=image", "--model", material / "tiny.json", "--dataset", material / "data.npz"]
    more = ["--forget-class", "bee", "--max-steps", 2, "--disable-tqdm", "true"]
    succeeded(run(*words, *more, "--output", tmp_path / "reference"))
    manifest = json.loads((tmp_path / "reference" / "manifest.json").read_text())
    assert manifest["data"]["train"]["rows"] == 60
    assert AutoModelForImageClassification.from_pretrained(tmp_path / "reference").config.num_labels == 3


def test_a_resumed_run_ends_where_the_whole_one_does(material: Path, tmp_path: Path):
    more = ["--forget-class", "bee", "--per-device-train-batch-size", 10]
    whole, part = tmp_path / "whole", tmp_path / "part"
    succeeded(run(*unlearn_words(material, whole, *more, "--num-train-epochs", 2)))
    succeeded(run(*unlearn_words(material, part, *more, "--num-train-epochs", 1, "--keep-checkpoints")))
    assert [path.name for path in (part / "checkpoints").iterdir()] == ["checkpoint-3"]
    succeeded(run(*unlearn_words(material, part, *more, "--num-train-epochs", 2, "--resume")))
    assert not list(part.rglob("checkpoint*"))
    assert weights_of(part) == weights_of(whole)
    assert len(steps_of(part)) == len(steps_of(whole)) == 6
    refused = run(*unlearn_words(material, part, "--forget-class", "cow", "--resume"))
    assert refused.status == 2
    assert "has" in refused.error


def test_the_function_takes_images_too(material: Path, tmp_path: Path):
    data = {"dataset": material / "data.npz", "forget_class": "bee", "per_device_train_batch_size": 10}
    run = ngdiff.unlearn(material / "target", output=tmp_path / "run", task="image", max_steps=1, **data)
    assert run.losses.keys() >= {"forget", "retain"}
    assert len(run.log) >= 1
    assert "loss, nats per image" in run._repr_html_()
    assert read_log(run.folder).unit == "image"


@pytest.mark.parametrize("end", [["--max-steps", 4], ["--num-train-epochs", 1.5]])
def test_a_run_that_is_done_within_a_pass_is_done(material: Path, tmp_path: Path, end: list):
    more = ["--forget-class", "bee", "--per-device-train-batch-size", 10, "--save-strategy", "epoch", *end]
    words = ["finetune", "--task", "image", "--model", material / "tiny.json", "--dataset", material / "data.npz"]
    for command in (
        unlearn_words(material, tmp_path / "unlearned", *more),
        [*words, "--output", tmp_path / "finetuned", "--max-loss", "none", *more],
    ):
        folder = Path(command[command.index("--output") + 1])
        succeeded(run(*command))
        before = everything_in(folder)
        outcome = succeeded(run(*command, "--resume"))
        assert outcome.out == f"The run in {folder} is done: nothing is left to do, and nothing was changed.\n"
        assert everything_in(folder) == before
        (folder / "model.safetensors").unlink()
        succeeded(run(*command, "--resume"))
        assert (folder / "model.safetensors").read_bytes() == before["model.safetensors"]


def test_a_config_file_chooses_the_task(material: Path, tmp_path: Path):
    first = tmp_path / "first"
    succeeded(run(*unlearn_words(material, first, "--forget-class", "bee", "--max-steps", 2)))
    succeeded(run("unlearn", "--config", first / "config.yaml", "--output", tmp_path / "second"))
    assert weights_of(first) == weights_of(tmp_path / "second")


def test_batch_norm_is_an_option(material: Path, tmp_path: Path):
    more = ["--forget-class", "bee", "--max-steps", 2]
    target = weights_of(material / "target")
    moved = {}
    for which in ("frozen", "train"):
        succeeded(run(*unlearn_words(material, tmp_path / which, *more, "--batch-norm", which)))
        after = weights_of(tmp_path / which)
        moved[which] = [name for name in after if "running" in name and after[name] != target[name]]
    assert moved["frozen"] == []
    assert len(moved["train"]) == len([name for name in target if "running" in name])


def test_a_trained_model_learns_other_classes(material: Path, tmp_path: Path):
    names = ["x", "y", "z", "w"]
    data = write(tmp_path / "other.npz", names=names)
    words = ["finetune", "--task", "image", "--model", material / "target", "--dataset", data, "--max-steps", 2]
    succeeded(run(*words, "--disable-tqdm", "true", "--output", tmp_path / "other"))
    assert AutoModelForImageClassification.from_pretrained(tmp_path / "other").config.num_labels == 4


def test_images_are_brought_to_the_size_of_the_model(material: Path, tmp_path: Path):
    large = write(tmp_path / "large.npz", size=16)
    words = ["--model", material / "target", "--dataset", large, "--forget-class", "bee"]
    succeeded(run("evaluate", "--task", "image", *words))
    outcome = run("evaluate", "--task", "image", *words, "--image-size", 16)
    assert outcome.error == "--image-size 16: the model takes images of 8x8"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--forget-class", "be"], "--forget-class be: there is no such class; did you mean bee?"),
        (
            [],
            "--forget-class, --forget-rows or --forget-images: name a class to forget, a number of images of any class",
        ),
        (["--forget-class", "bee", "--template", "plain"], "--template is for texts; --task image does not have it"),
        (["--forget-class", "bee", "--after", "out"], "--after is for texts: which images an earlier request forgot"),
        (["--forget-class", "bee", "--packing", "on"], "--packing is for texts; --task image does not have it"),
        (["--forget-class", "bee", "--method", "idk"], "teaches another answer, which images do not have"),
        (["--forget-class", "bee", "--batch-norm", "off"], "--batch-norm off is not known; one of frozen, train"),
        (["--forget-class", "bee", "--retain", "x.jsonl"], "--retain is for texts; --task image does not have it"),
        (["--forget-class", "bee", "--lora-rank", "4"], "--lora-rank is for texts; --task image does not have it"),
        (["--forget-class", "bee", "--dataset", "no.npz"], "--dataset no.npz: no such file"),
        (
            ["--forget-class", "bee", "--batch-size", "100000"],
            "--per-device-train-batch-size 100000: a step would have 100,000 rows of each set, but there are 30 to "
            "forget and 60 to retain",
        ),
        (["--forget-class", "bee", "--task", "sound"], "--task sound is not known; one of text, image"),
    ],
)
def test_what_cannot_be_used_leaves_no_folder(material: Path, tmp_path: Path, more, message):
    outcome = run(*unlearn_words(material, tmp_path / "out", *more))
    assert outcome.status == 2
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["unlearn", "evaluate"])
def test_what_is_to_be_forgotten_is_asked_for_before_a_model_is_read(tmp_path: Path, command: str):
    (tmp_path / "pets").mkdir()
    words = ["--task", "image", "--model", "owner/name", "--dataset", tmp_path / "pets", "--output", tmp_path / "out"]
    outcome = run(command, *words)
    assert outcome.status == 2
    assert outcome.error.startswith("--forget-class, --forget-rows or --forget-images: name a class to forget")
    assert "Loading" not in outcome.err


@pytest.mark.parametrize("command", ["finetune", "unlearn", "evaluate"])
def test_a_model_without_weights_is_refused_before_images_are_read(material: Path, tmp_path: Path, command: str):
    folder = tmp_path / "empty"
    folder.mkdir()
    shutil.copy(material / "target" / "config.json", folder)
    images = tmp_path / "images.npz"
    images.write_bytes(b"no images")
    words = ["--task", "image", "--model", folder, "--dataset", images, "--output", tmp_path / "out"]
    outcome = run(command, *words, *([] if command == "finetune" else ["--forget-class", "bee"]))
    assert outcome.status == 2
    assert outcome.error == f"Model {folder}: no weights in this folder; expected model.safetensors."


def test_a_seed_of_a_draw_without_a_draw(tmp_path: Path):
    words = ["--task", "image", "--model", "resnet20-cifar", "--dataset", "cifar10", "--output", tmp_path / "out"]
    outcome = run("finetune", *words, "--forget-seed", 3)
    assert outcome.status == 2
    assert outcome.error.startswith("--forget-seed 3 changes nothing without --forget-class or --forget-rows")


def test_an_output_among_the_images(material: Path, tmp_path: Path):
    """Its curves would be an image for whoever reads the folder next."""
    (tmp_path / "pets").mkdir()
    words = ["--dataset", tmp_path / "pets", "--forget-class", "bee"]
    outcome = run(*unlearn_words(material, tmp_path / "pets" / "out", *words))
    assert outcome.status == 2
    assert outcome.error == (
        f"--output {tmp_path}/pets/out lies in --dataset {tmp_path}/pets, where the curves of the run would be taken "
        "for an image; choose another folder"
    )
    assert not (tmp_path / "pets" / "out").exists()


def test_classes_of_model_and_images_differ(material: Path, tmp_path: Path):
    for names, message in (
        (["ant", "bee"], "has 2 classes and the model 3"),
        (["ant", "bee", "dog"], "no class 'dog'"),
    ):
        data = write(tmp_path / f"{len(names)}.npz", names=names)
        for command in ("evaluate", "unlearn"):
            words = ["--task", "image", "--model", material / "target", "--dataset", data, "--forget-class", "bee"]
            outcome = run(command, *words, "--output", tmp_path / "out")
            assert message in outcome.error
            assert outcome.error.startswith(f"--model {material / 'target'} and --dataset {data}: ")


def test_overwriting_never_deletes_the_images(material: Path, tmp_path: Path):
    output = tmp_path / "out"
    succeeded(run(*unlearn_words(material, output, "--forget-class", "bee", "--max-steps", 1)))
    data = write(output / "data.npz")
    before = everything_in(output)
    outcome = run(*unlearn_words(material, output, "--forget-class", "bee", "--dataset", data, "--overwrite"))
    assert "--overwrite would delete" in outcome.error
    assert everything_in(output) == before


@pytest.mark.parametrize("command", ["unlearn", "evaluate", "finetune"])
def test_help_of_both_tasks(command: str):
    images, texts = run(command, "--task", "image", "--help"), run(command, "--help")
    assert "--dataset DATA" in images.out
    assert "--dataset DATA" not in texts.out
    for outcome in (images, texts):
        assert "--task NAME" in outcome.out
        assert all(len(line) <= 100 for line in outcome.out.splitlines())


def test_other_processes_are_refused(material: Path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = ["--model", material / "target", "--dataset", material / "data.npz", "--forget-class", "bee"]
    assert "in one process" in run("evaluate", "--task", "image", *words).error


def test_global_generators_are_left_alone(material: Path):
    state = torch.random.get_rng_state()
    words = ["--model", material / "target", "--dataset", material / "data.npz", "--forget-class", "bee"]
    succeeded(run("evaluate", "--task", "image", *words))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_the_resnet_of_the_paper_trains_forgets_and_is_scored(tmp_path):
    write(tmp_path / "data.npz", size=16)
    data = ["--dataset", tmp_path / "data.npz"]
    common = ["--per-device-train-batch-size", 10, "--disable-tqdm", "true"]
    words = ["finetune", "--task", "image", "--model", "resnet50-cifar", *data, *common]
    succeeded(run(*words, "--num-train-epochs", 3, "--augment", "false", "--output", tmp_path / "target"))
    words = ["unlearn", "--task", "image", "--model", tmp_path / "target", *data, "--forget-class", "bee", *common]
    succeeded(run(*words, "--num-train-epochs", 2, "--output", tmp_path / "out"))
    logged = steps_of(tmp_path / "out")
    assert len(logged) == 6  # 30 images of the class, twice
    assert logged[-1]["loss_forget"] > logged[0]["loss_forget"]
    words = ["evaluate", "--task", "image", "--model", tmp_path / "out", *data, "--forget-class", "bee"]
    succeeded(run(*words, "--output", tmp_path / "scores"))
    found = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert found["forget"]["loss"] > found["retain"]["loss"]
