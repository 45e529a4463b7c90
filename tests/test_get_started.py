"""The commands of docs/get-started.md, one after the other, on a smaller demo."""

import re
import shlex
from pathlib import Path

import pytest

from ngdiff.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "get-started.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for line in "".join(blocks).replace("\\\n", "").splitlines():
        program, *words = shlex.split(line)
        if program == "cd":
            monkeypatch.chdir(words[0])
            continue
        if words == ["demo"]:
            words += ["--people", "20", "--questions", "3"]
        assert main(words) == 0, f"{line}\n{capsys.readouterr().err}"
    assert Path("report.html").is_file()
