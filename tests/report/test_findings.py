"""Results in sentences."""

import pytest

from ngdiff.report.findings import findings


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"n": 1, "rouge_l_recall_above_half": 1}, ["1 row to be", "It still says more than half of that row."]),
        ({"n": 1, "rouge_l_recall_above_half": 0}, ["1 row to be", "It says no more than half of that row."]),
        ({"n": 9, "n_documents": 1, "rouge_l_recall_above_half": 1}, ["1 document to be", "half of that document."]),
        ({"n": 2, "rouge_l_recall_above_half": 1}, ["2 rows to be", "Of 1 of these 2 rows it still says more"]),
    ],
)
def test_one_row_is_no_rows(own: dict[str, int], said: list[str]) -> None:
    lines = findings({"after": {"forget": {**own, "rouge_l_recall": 0.6}}})
    assert [part in line for part, line in zip(said, lines, strict=True)] == [True, True]


def test_damage_to_protected_rows_does_not_stand_behind_the_holdout() -> None:
    after = {"forget": {"n": 4, "rouge_l_recall": 0.1}, "collateral": {"holdout": -0.5, "protect": 0.9}}
    lines = findings({"after": after})[-2:]
    assert [line.split(",")[0] for line in lines] == [
        "The loss of the holdout rows",
        "The loss of the rows to be protected",
    ]
    assert ["-0.500 nats a token" in lines[0], "+0.900 nats a token" in lines[1]] == [True, True]


def test_images() -> None:
    after = {"forget": {"n": 30, "accuracy": 0.0}, "retain": {"n": 90, "accuracy": 0.5}, "collateral": {"holdout": 2.0}}
    lines = findings({"before": {"forget": {"n": 30, "accuracy": 0.9}}, "after": after})
    assert lines[:2] == [
        "Of the 30 images to be forgotten, the model names the right class of 0 % (before: 90 %).",
        "Of the 90 images to be kept, the model names the right class of 50 %.",
    ]
    assert len(lines) == 3
    assert "has moved by +2.000 nats an image" in lines[2]
