"""Whether a processor computes in bfloat16, as Linux describes it."""

from pathlib import Path

import pytest

from ngdiff.speed.cpu.bfloat16 import computes_bfloat16


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", True),
        ("processor : 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\nbugs : avx512_bf16\n", False),
        ("processor : 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor : 0\nFeatures\t: fp asimd\n", False),
        ("processor : 0\nmodel : unknown\n", None),
    ],
)
def test_flags(tmp_path: Path, text: str, found: bool | None) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert computes_bfloat16(tmp_path / "cpuinfo") is found


def test_other_systems_say_nothing(tmp_path: Path) -> None:
    assert computes_bfloat16(tmp_path / "missing") is None
