"""The same comparison in each form, read back by a reader of that form."""

import csv
import io
import re
from typing import Any

import pytest

from ngdiff.scoring import FORMATS, compare


def run(verbmem: float, utility: float | None = None, **more: Any) -> dict[str, Any]:
    retain = {"n": 2, **({} if utility is None else {"rouge_l_recall": utility})}
    return {"forget": {"n": 2, "rouge_l_recall": verbmem}, "retain": retain, **more}


TABLE = compare(
    {
        "before": run(0.98, 0.97, forget_quality=1.25e-20, privleak=-99.81),
        "ngdiff": run(0.01234, 0.95, forget_quality=0.5),
        "a_b|c": run(0.01234),
        "gold": run(0.01, confidence={"level": 0.95, "sets": {"forget": {"rouge_l_recall": [0.0125, 0.5]}}}),
    },
    references=["gold"],
)
NO_D = "note: no D; ngdiff score RUN --retrained RUN --before RUN --output FILE adds it to a metrics.json"
NOTE = "note: {} is over-forgotten, beyond the 95 % interval of gold: Verbmem 0.0123 < 0.0125"


def test_text() -> None:
    assert FORMATS["text"](TABLE).splitlines() == [
        "        Verbmem →0.01   Utility ↑   forget quality ↑   PrivLeak % →0",
        "before         0.9800      0.9700*           1.2e-20        -99.8100",
        "ngdiff         0.0123*     0.9500             0.5000*              -",
        "a_b|c          0.0123*          -                  -               -",
        "gold           0.0100           -                  -               -",
        "* best of its column",
        NOTE.format("ngdiff"),
        NOTE.format("a_b|c"),
        NO_D,
    ]


def test_text_without_a_best() -> None:
    assert FORMATS["text"](compare({"a": run(0.5)})) == "   Verbmem ↓\na     0.5000\n"


def test_markdown() -> None:
    assert FORMATS["markdown"](TABLE).splitlines() == [
        "| method | Verbmem →0.01 | Utility ↑ | forget quality ↑ | PrivLeak % →0 |",
        "| :-- | --: | --: | --: | --: |",
        "| before | 0.9800 | **0.9700** | 1.2e-20 | -99.8100 |",
        "| ngdiff | **0.0123** | 0.9500 | **0.5000** | - |",
        r"| a\_b\|c | **0.0123** | - | - | - |",
        "| gold | 0.0100 | - | - | - |",
        "",
        NOTE.format("ngdiff").replace("<", r"\<"),
        "",
        NOTE.format(r"a\_b\|c").replace("<", r"\<"),
        "",
        NO_D,
    ]


def test_csv_holds_the_whole_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](TABLE))))
    assert [row["method"] for row in rows] == ["before", "ngdiff", "a_b|c", "gold"]
    assert [row["forget.rouge_l_recall"] for row in rows] == ["0.98", "0.01234", "0.01234", "0.01"]
    assert [row["over_forgotten"] for row in rows] == ["-", "forget.rouge_l_recall", "forget.rouge_l_recall", "-"]
    assert float(rows[0]["forget_quality"]) == 1.25e-20
    assert rows[2]["retain.rouge_l_recall"] == "-"
    odd = compare({'a,"b"': run(0.1)})
    assert "over_forgotten" not in FORMATS["csv"](odd)
    assert next(csv.DictReader(io.StringIO(FORMATS["csv"](odd))))["method"] == 'a,"b"'


def test_latex() -> None:
    assert FORMATS["latex"](TABLE).splitlines() == [
        r"% needs \usepackage{booktabs}",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"method & Verbmem $\to 0.01$ & Utility $\uparrow$ & forget quality $\uparrow$ & PrivLeak \% $\to 0$ \\",
        r"\midrule",
        r"before & 0.9800 & \textbf{0.9700} & $1.2 \times 10^{-20}$ & $-99.8100$ \\",
        r"ngdiff & \textbf{0.0123} & 0.9500 & \textbf{0.5000} & - \\",
        r"a\_b|c & \textbf{0.0123} & - & - & - \\",
        r"gold & 0.0100 & - & - & - \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% " + NOTE.format("ngdiff"),
        "% " + NOTE.format("a_b|c"),
        "% " + NO_D,
    ]


def test_a_best_number_with_mathematics_is_bold_in_latex() -> None:
    table = compare({"a": run(0.1, privleak=-1.0), "b": run(0.1, privleak=-2.0)}, metrics=["privleak"])
    assert r"a & \textbf{\boldmath $-1.0000$} \\" in FORMATS["latex"](table)


NASTY = r"\ & % $ # _ { } ~ ^ < > | * ` [ ] & é"


def unescape_latex(text: str) -> str:
    words = {"backslash": "\\", "asciitilde": "~", "asciicircum": "^", "less": "<", "greater": ">"}
    return re.sub(r"\\text(\w+)\{\}|\\(.)", lambda m: words[m[1]] if m[1] else m[2], text)


def test_names_are_escaped_and_can_be_read_back() -> None:
    table = compare({NASTY: run(0.1)})
    cell = FORMATS["latex"](table).splitlines()[5].rpartition(" & ")[0]
    assert unescape_latex(cell) == NASTY
    # nothing that LaTeX acts on stands free
    assert not re.search(r"(?<!\\)[&%$#_^~]", re.sub(r"\\text\w+\{\}", "", cell))
    row = FORMATS["markdown"](table).splitlines()[2]
    cells = re.split(r"(?<!\\) ?\| ?", row)
    assert re.sub(r"\\(.)", r"\1", cells[1]) == NASTY
    assert len(cells) == 4  # before, name, number, after


@pytest.mark.parametrize("form", FORMATS)
def test_every_row_has_every_column(form: str) -> None:
    table = TABLE._replace(notes=[], over=[])
    text = FORMATS[form](table)
    assert text.endswith("\n")
    for name, values in zip(table.names, table.values, strict=True):
        (line,) = [line for line in text.splitlines() if line.lstrip("| ").startswith(name[0])
                   and not line.startswith(("\\begin", "\\bottom"))]  # fmt: skip
        assert sum(1 for value in values if value is None) == len(
            re.findall(r"(?:^|[ ,])-(?=$|[ ,])", line.rstrip("\\ |"))
        )


@pytest.mark.parametrize("form", FORMATS)
def test_the_worst_rows_stand_behind_the_means(form: str) -> None:
    """A mean of 0.08 hides the row that still gives the name."""
    told = {"n": 20, "rouge_l_recall": 0.08, "rouge_l_recall_max": 0.95, "rouge_l_recall_above_half": 1}
    told |= {"extraction_strength": 0.1, "extraction_strength_max": 1.0, "extraction_strength_above_half": 2}
    table = compare({"a": {"forget": told}})
    assert table.titles == [
        "Verbmem", "extraction strength",
        "Verbmem, worst row", "Verbmem, rows > 0.5",
        "extraction strength, worst row", "extraction strength, rows > 0.5",
    ]  # fmt: skip
    row = next(line for line in FORMATS[form](table).splitlines() if re.match(r"(\| )?a\b", line))
    assert [float(number) for number in re.findall(r"[\d.]+", row)] == [0.08, 0.1, 0.95, 1, 1.0, 2]
