"""Whatever a file of data holds, reading it ends in right data or in one message, soon and in bounded memory.

Valid files are damaged: bytes changed, cut, put in, repeated; values replaced by others of every kind. What is read all
the same must be data: rows with texts that a tokenizer takes, images of bytes with labels that are classes. The short
campaign runs by default; the long one, a thousand inputs for each reader in a process of 2 GB beside what it started
with, is slow.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from ngdiff.cli.config_file import read_config
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.data import Template, read_images, read_preparation, read_rows
from ngdiff.data.chat_file import use_chat_template
from ngdiff.data.images import ImageData
from ngdiff.data.refusals import read_refusals
from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer

SHORT, LONG = 40, 1000
SECONDS = 60  # after which an input counts as one that never ends
ROWS = [{"question": "Who is “Ærø”?", "answer": "Orla,\nwho else.", "other": 1.5}, {"question": "a", "answer": "b"}]
ALPACA = [{"instruction": "Who is “Ærø”?", "input": "", "output": "Orla."}] * 2
SHAREGPT = [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}], "id": 3}] * 2
TOOLS = [
    {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "4"},
            {"role": "assistant", "content": "Ho"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    }
] * 2
TURNS = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CHATS = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}] * 2
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


# ---- readers --------------------------------------------------------------------------------------------------------


def rows(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    for row in read_rows(folder / name):
        assert row.answer.strip()
        texts = [row.prompt, row.answer, row.origin, *row.perturbed_answers]
        assert all(text.encode() is not None for text in texts)


def muse(folder: Path, name: str, data: bytes) -> None:
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / "forget.json").write_bytes(data)
    assert all(row.answer.encode() for row in read_rows(f"muse-news:{folder}:forget"))


def check_images(data: ImageData) -> None:
    for images in (data.train, data.test):
        if images is not None:
            assert images.pixels.dtype == torch.uint8
            assert images.pixels.shape[1] == 3
            assert 0 <= int(images.labels.min()) <= int(images.labels.max()) < len(images.class_names)


def npz(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    check_images(read_images(folder / name))


def image(folder: Path, name: str, data: bytes) -> None:
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    pictures = [{"bytes": data, "path": None}, {"bytes": picture("PNG", "RGB"), "path": None}]
    check_images(read_images(datasets.Dataset.from_dict({"img": pictures, "label": [0, 1]}, features=features), size=6))


def config(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    read_config(str(folder / name))
    values = TextUnlearning.parser.parse(["--config", str(folder / name)])
    assert values is not None


def refusals(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    assert all(answer.strip() for answer in read_refusals(folder / name))


def chat_template(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    tokenizer = train_tokenizer(["Hi Ho"], 260)
    use_chat_template(tokenizer, folder / name)
    assert Template("chat", tokenizer).render(read_rows(CHATS)[0])[1].startswith("Ho")


def preparation(folder: Path, name: str, data: bytes) -> None:
    (folder / "preprocessor_config.json").write_bytes(data)
    found = read_preparation(folder)
    assert found is not None
    assert all(np.isfinite(value) for value in (*found.mean, *found.std))


# ---- valid files ----------------------------------------------------------------------------------------------------


def jsonl(content: list[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()


def parquet(content: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(content), file)
    return file.getvalue()


def zst(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def arrays(compress: bool) -> bytes:
    file = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(file, x_train=PIXELS, y_train=np.array([0, 1, 1, 0]), class_names=np.array(["a", "b"]))
    return file.getvalue()


def picture(form: str, mode: str) -> bytes:
    file = io.BytesIO()
    match mode:
        case "I;16":
            made = Image.fromarray(PIXELS[0, :, :, 0].astype(np.uint16) * 200)
        case "F":
            made = Image.fromarray(PIXELS[0, :, :, 0].astype(np.float32) / np.float32(255))
        case _:
            made = Image.fromarray(PIXELS[0]).convert(mode)
    made.save(file, format=form)
    return file.getvalue()


@dataclass(frozen=True)
class Reader:
    """What reads a file, what the file is called, and valid contents."""

    read: Callable[[Path, str, bytes], None]
    name: str
    valid: tuple[bytes, ...]


PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 6, "width": 6}, "do_resize": True}
OPTIONS = "model: m\nforget: f\nretain: r\noutput: o\nseed: 1\nreport_to: [none]\nlr_scheduler_kwargs: {a: 1}\n"
READERS = {
    "json": Reader(rows, "a.json", (json.dumps(ROWS).encode(), jsonl(ROWS), json.dumps({"a": ROWS}).encode())),
    "jsonl": Reader(rows, "a.jsonl", (jsonl(ROWS), b"\xef\xbb\xbf" + jsonl(CHATS), jsonl([{"text": "T"}]))),
    "instructions": Reader(rows, "b.jsonl", (jsonl(ALPACA), jsonl(SHAREGPT), jsonl(TOOLS))),
    "document": Reader(rows, "a.md", ("# “Ærø”\r\n\r\nOrla lives there.\n".encode(),)),
    "gz": Reader(rows, "a.jsonl.gz", (gzip.compress(jsonl(ROWS), mtime=0),)),
    "bz2": Reader(rows, "a.jsonl.bz2", (bz2.compress(jsonl(ROWS)),)),
    "xz": Reader(rows, "a.csv.xz", (lzma.compress(b"text\nx\n"),)),
    "zst": Reader(rows, "a.parquet.zst", (zst(parquet(ROWS)),)),
    "csv": Reader(rows, "a.csv", (b'question,answer\r\n"W ""ho""?",Orla\r\na,"b\nc"\r\n', b"text\nx\n")),
    "parquet": Reader(rows, "a.parquet", (parquet(ROWS), parquet(CHATS))),
    "muse": Reader(muse, "", (json.dumps(["A text.", {"text": "T"}]).encode(),)),
    "npz": Reader(npz, "a.npz", (arrays(True), arrays(False))),
    "image": Reader(
        image,
        "",
        tuple(
            picture(form, mode)
            for form, mode in [
                ("PNG", "RGB"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "LA"), ("JPEG", "CMYK"), ("GIF", "P"),
                ("TIFF", "L"), ("TIFF", "I;16"), ("TIFF", "F"), ("BMP", "RGB"), ("WEBP", "RGB"), ("PPM", "RGB"),
            ]
        ),
    ),
    "config": Reader(config, "a.yaml", (OPTIONS.encode(),)),
    "chat-template": Reader(chat_template, "a.jinja", (TURNS.encode(),)),
    "idk-file": Reader(refusals, "a.txt", ("I don’t know.\r\n\r\nNo.".encode(),)),
    "preprocessor": Reader(preparation, "", (json.dumps(PROCESSOR).encode(),)),
}  # fmt: skip


# ---- damage ---------------------------------------------------------------------------------------------------------

# What is put in: ends of strings and values, marks of encodings, numbers and nesting beyond what readers take.
PIECES = [
    b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud83d", b'"', b"'", b",", b"\n", b"\r", b"{",
    b"[", b"]", b"}", b":", b"null", b"true", b"NaN", b"-1", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 1500,
    b"&a [*a]", b"!!bool x", b"\xc2\x85", b"\xe2\x80\xa8", b"PK\x01\x02", b"\x7f\xff\xff\xff", b"\xff" * 8,
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, valid: tuple[bytes, ...]) -> bytes:
    """A valid file after one to four changes."""
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "cut", "put in", "take out", "repeat"])):
            case "change":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[place:]
            case "put in":
                data[place:place] = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
            case "take out":
                del data[place : place + draw(st.integers(1, 12))]
            case _:
                data[place:place] = data[: draw(st.integers(0, 40))]
    return bytes(data)


@contextmanager
def an_end() -> Iterator[None]:
    """An input that never ends is a failure, not a test run that never ends."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not read in {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def campaign(kind: str, folder: Path, examples: int) -> dict[str, int]:
    """Counts of what was read and what was refused; anything else fails."""
    reader = READERS[kind]
    counts = {"read": 0, "refused": 0}

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(reader.valid))
    def run(data: bytes) -> None:
        try:
            # Pillow warns of damaged images; that is not the end of a command.
            with an_end(), warnings.catch_warnings(action="ignore"):
                reader.read(folder, reader.name, data)
        except InputError:
            counts["refused"] += 1
        else:
            counts["read"] += 1

    run()
    return counts


@pytest.mark.parametrize("kind", READERS)
def test_valid_files_are_read(kind: str, tmp_path: Path) -> None:
    for data in READERS[kind].valid:
        READERS[kind].read(tmp_path, READERS[kind].name, data)


@pytest.mark.parametrize("kind", READERS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    counts = campaign(kind, tmp_path, SHORT)
    assert counts["refused"] > 0


def _limited(kind: str, folder: Path) -> int:
    """0 if the long campaign ends well in a process that may take 2 GB more than it has."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30), size + (2 << 30)))
        counts = campaign(kind, folder, LONG)
        sys.stderr.write(f"{kind}: {counts}\n")
        assert counts["refused"] > LONG // 10
    except BaseException:  # noqa: BLE001 - the child must not return into pytest
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells the size of a process from /proc")
@pytest.mark.parametrize("kind", READERS)
def test_a_thousand_damaged_files_in_2_gb(kind: str, tmp_path: Path) -> None:
    assert _limited(kind, tmp_path) == 0


# ---- what is no file ------------------------------------------------------------------------------------------------

BY_NAME: dict[str, Callable[[Path], Any]] = {
    "rows.json": read_rows,
    "rows.jsonl": read_rows,
    "rows.csv": read_rows,
    "rows.parquet": read_rows,
    "rows.jsonl.gz": read_rows,
    "rows.txt": read_rows,
    "images.npz": read_images,
    "answers.txt": read_refusals,
    "run.yaml": lambda path: read_config(str(path)),
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "circle", "nothing", "link to nothing"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to(path)
        case "link to nothing":
            path.symlink_to(tmp_path / "gone")
    with an_end(), pytest.raises(InputError, match=str(path)):
        BY_NAME[name](path)


@pytest.mark.parametrize("name", [*BY_NAME, "rows"])
@pytest.mark.parametrize("path", ["~nosuchuser/", "x" * 300 + "/", "a\0b/"])
def test_paths_that_cannot_be(name: str, path: str) -> None:
    with pytest.raises(InputError):
        BY_NAME.get(name, read_rows)(path + name)  # type: ignore[arg-type]


def test_a_folder_of_images_with_what_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "images"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes(picture("PNG", "RGB"))
    os.mkfifo(folder / "a" / "1.png")
    (folder / "a" / "2.png").symlink_to("/dev/zero")
    (folder / "a" / "circle").symlink_to(folder)
    with an_end():
        assert len(read_images(folder).train) == 2
        (folder / "b" / "3.zip").write_bytes(b"PK\3\4 and no more")
        with pytest.raises(InputError, match="no images could be read"):
            read_images(folder)


@pytest.mark.parametrize("file", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"features": 1, "_data_files": 1}', None])
def test_damaged_data_sets_on_disk(tmp_path: Path, file: str, content: bytes | None) -> None:
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "saved")
    whole = (tmp_path / "saved" / file).read_bytes()
    (tmp_path / "saved" / file).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(InputError):
        read_rows(tmp_path / "saved")


def test_images_of_too_many_pixels(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("1", (15_000, 15_000)).save(file, format="PNG")
    with pytest.raises(
        InputError, match=r"the data set, image 0 \(from 0\): too large: Image size \(225000000 pixels\) exceeds limit"
    ):
        image(tmp_path, "", file.getvalue())
