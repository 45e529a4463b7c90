"""Damaged and malicious `.npz` files are refused before they are unpacked."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.data import read_images
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def packed(compress: bool = True, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **{"x_train": PIXELS, "y_train": LABELS, **arrays})
    return file.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_cut_short_anywhere(tmp_path: Path, compress: bool):
    whole = packed(compress)
    for length in range(0, len(whole), 37):
        with pytest.raises(InputError, match=r"not a readable \.npz file of plain arrays"):
            read_images(written(tmp_path / "a.npz", whole[:length]))


WHOLE = packed(False)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_found_or_does_no_harm(tmp_path_factory: pytest.TempPathFactory, place: int, change: int):
    damaged = bytearray(WHOLE)
    damaged[place] ^= change
    file = written(tmp_path_factory.mktemp("npz") / "a.npz", bytes(damaged))
    try:
        data = read_images(file)
    except InputError:
        return
    assert np.array_equal(data.train.pixels.permute(0, 2, 3, 1).numpy(), PIXELS)
    assert data.train.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_a_label_of_2_to_the_62_takes_no_memory(tmp_path: Path, dtype: type):
    labels = np.array([0, 1, 2, 0, 1, 2**62], dtype=dtype)
    file = written(tmp_path / "a.npz", packed(y_train=labels))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"labels from 0 to {2**62} without 3; they must count from 0"):
            read_images(file)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    with pytest.raises(InputError, match=f"labels from 0 to {2**62} for 2 classes"):
        read_images(written(tmp_path / "a.npz", packed(y_train=labels, class_names=np.array(["a", "b"]))))


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_an_array_that_unpacks_to_hundreds_of_times_its_size(tmp_path: Path):
    file = tmp_path / "bomb.npz"
    shape = (700, 640, 640, 1)  # 287 MB of zeros
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as member:
            member.write(header(shape))
            for _ in range(shape[0]):
                member.write(bytes(shape[1] * shape[2]))
        archive.writestr("y_train.npy", header((700,)) + bytes(700))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"array x_train: [\d,]+ bytes that become 286,720,000 in memory"):
            read_images(file)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**62,), (2**40, 2**40), (10,), (-1, 4, 4), (3, -4, -4)])
def test_a_header_that_promises_more_than_there_is(tmp_path: Path, shape: tuple[int, ...]):
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x_train.npy", header(shape) + b"abc")
        archive.writestr("y_train.npy", header((1,)) + b"\0")
    with pytest.raises(InputError, match=r"not a readable \.npz file of plain arrays"):
        read_images(file)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": PIXELS.astype(object)}, "array x_train holds Python objects"),
        ({"x_train": np.array(3.0)}, r"pixels have shape \(\)"),
        ({"x_train": np.zeros((6, 0, 5, 3), np.uint8)}, r"pixels have shape \(6, 0, 5, 3\): images without a pixel"),
        ({"x_train": np.array(["a"] * 6)}, "pixels have shape"),
        ({"x_train": PIXELS.astype("datetime64[s]")}, "pixels are datetime64"),
        ({"x_train": PIXELS.astype(complex)}, "pixels are complex128"),
        ({"x_train": np.zeros((6, 4, 5), [("a", "u1")])}, r"pixels are \[\('a', 'u1'\)\]"),
        ({"x_train": PIXELS.astype(np.uint16) * 257}, "pixels are uint16 from 0 to 65535"),
        ({"y_train": np.array(["a"] * 6)}, "labels are <U1"),
        ({"y_train": np.array(0)}, r"labels are int64 of shape \(\)"),
        ({"class_names": np.array("abc")}, r"class_names are <U3 of shape \(\); they must be a list of names"),
        ({"class_names": np.array(["a", "b", "a"])}, "class_names hold a name twice"),
        ({"class_names": np.array([b"\xff", b"b", b"a"])}, "class_names hold a name that is not UTF-8 text"),
        ({"class_names": np.array([1.0, 2.0, 3.0])}, "class_names are float64"),
    ],
)
def test_arrays_of_other_kinds(tmp_path: Path, arrays: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        read_images(written(tmp_path / "a.npz", packed(**arrays)))


def test_names_of_bytes_are_texts(tmp_path: Path):
    data = read_images(written(tmp_path / "a.npz", packed(class_names=np.array([b"cat", b"dog", b"owl"]))))
    assert data.class_names == ("cat", "dog", "owl")


def test_a_folder_and_a_pipe_of_that_name(tmp_path: Path):
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(InputError, match="no such file"):
        read_images(tmp_path / "a.npz")
