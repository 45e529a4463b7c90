"""TOFU's sets as its authors take them."""

import json
import os
from pathlib import Path

import pytest

from ngdiff.data.benchmarks import benchmark_sets
from ngdiff.data.row_reader import RowReader

RUNS = {"forget01": "retain99", "forget05": "retain95", "forget10": "retain90"}


@pytest.fixture(scope="module")
def real() -> Path:
    if "NGDIFF_DATA" not in os.environ:
        pytest.skip("NGDIFF_DATA is not set: TOFU is not here")
    return Path(os.environ["NGDIFF_DATA"])


@pytest.mark.parametrize("split", RUNS)
def test_rows_are_those_of_the_authors_logs(real: Path, split: str) -> None:
    """Same rows, same number, same order: row i of the log of a set is row i here."""
    sets = benchmark_sets(f"tofu:{real / 'tofu'}", split=split)
    golden = json.loads((real / "goldens" / f"tofu_phi_{RUNS[split]}_wd0.01.json").read_text(encoding="utf-8"))
    assert set(sets) == set(golden["tasks"])
    for name, part in sets.items():
        references = golden["tasks"][name]["inputs"]["reference"]
        # The log's are decoded tokens, which lost a space or two.
        assert ["".join(row.answer.split()) for row in part.rows] == ["".join(text.split()) for text in references]
        wrong = 5 if name in ("forget", "retain") else 3
        assert {len(row.perturbed_answers) for row in part.rows} == {wrong}
        assert {row.paraphrased_answer is not None for row in part.rows} == {name in ("forget", "retain")}
        assert (part.max_length, part.max_new_tokens, part.generate, part.whole) == (200, 200, True, False)


def test_fewer_rows_of_forget_and_retain_only(real: Path) -> None:
    sets = benchmark_sets(f"tofu:{real / 'tofu'}", rows=7)
    assert {name: len(part.rows) for name, part in sets.items()} == {
        "forget": 7, "retain": 7, "real_authors": 100, "world_facts": 117,
    }  # fmt: skip


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def read(source: str, *, role: str) -> list:
        asked.append((source, role))
        return [RowReader().row({"question": "Who?", "answer": "Orla."}, "hub, row 1")]

    monkeypatch.setattr("ngdiff.data.benchmarks.read_rows", read)
    benchmark_sets("tofu", split="forget05")
    assert asked[:2] == [
        ("locuslab/TOFU:forget05_perturbed", "--benchmark tofu, forget"),
        ("locuslab/TOFU:retain_perturbed", "--benchmark tofu, retain"),
    ]
    asked.clear()
    benchmark_sets("tofu:someone/copy")
    assert asked[3][0] == "someone/copy:world_facts_perturbed"
