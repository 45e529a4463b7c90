"""Near-duplicates that `ngdiff check` finds: recall on seeded ones of TOFU rows, false alarms among rows as they are.

    python benchmarks/near_duplicates.py DATA     # DATA/tofu holds forget10, retain90 and forget10_perturbed (.json)

Of every row of forget10 a changed one is made, and it must be found among forget10. A false alarm is a row of retain90
that is called a near-duplicate of one of forget10: TOFU's authors are different people, so that none is.
"""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ngdiff.data import Row, read_rows
from ngdiff.data.near import near_duplicates

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
SEED = 0


def upper(text: str, draw: random.Random) -> str:
    return text.upper()


def punctuated(text: str, draw: random.Random) -> str:
    words = "".join(char for char in text if char.isalnum() or char.isspace()).split()
    return " ".join(word + draw.choice(["", ",", ";", " -", "!"]) for word in words)


def zero_width(text: str, draw: random.Random) -> str:
    return "".join(
        char + (draw.choice("\u200b\u200c\u200d\ufeff\u00ad") if draw.random() < 0.3 else "") for char in text
    )


def reordered(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def one_word_less(text: str, draw: random.Random) -> str:
    words = text.split()
    del words[draw.randrange(len(words))]
    return " ".join(words)


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "upper case": upper,
    "other punctuation": punctuated,
    "zero-width characters": zero_width,
    "words in another order": reordered,
    "a word less in question and answer": one_word_less,
}


def main(folder: Path) -> None:
    forget = read_rows(str(folder / "tofu" / "forget10.json"), role="forget")
    retain = read_rows(str(folder / "tofu" / "retain90.json"), role="retain")
    draw = random.Random(SEED)
    seeded = {
        name: [replace(row, prompt=change(row.prompt, draw), answer=change(row.answer, draw)) for row in forget]
        for name, change in CHANGES.items()
    }
    seeded |= paraphrases(folder / "tofu" / "forget10_perturbed.json")
    header = [f"J >= {threshold:g}" for threshold in THRESHOLDS]
    print("| | " + " | ".join(header) + " |\n|---|" + "---|" * len(header))
    for name, rows in seeded.items():
        print(f"| recall: {name} | " + " | ".join(f"{recall(forget, rows, one):.3f}" for one in THRESHOLDS) + " |")
    alarms = [len({pair.second for pair in near_duplicates(forget, retain, threshold=one)}) for one in THRESHOLDS]
    print(f"| false alarms of {len(retain)} rows | " + " | ".join(map(str, alarms)) + " |")


def recall(rows: list[Row], changed: list[Row], threshold: float) -> float:
    """Part of the changed rows that are found beside the row that they were."""
    found = {pair.second for pair in near_duplicates(rows, changed, threshold=threshold) if pair.first == pair.second}
    return len(found) / len(changed)


def paraphrases(file: Path) -> dict[str, list[Row]]:
    """TOFU's own, of question, of answer, and of both."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    made = {"question": ("paraphrased_question", "answer"), "answer": ("question", "paraphrased_answer")}
    made["question and answer"] = ("paraphrased_question", "paraphrased_answer")
    return {
        f"paraphrased {name}": [Row(row[question], row[answer]) for row in rows]
        for name, (question, answer) in made.items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
