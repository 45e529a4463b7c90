"""CPU seconds and memory of two large files of rows: read, compared with each other, and encoded.

    python benchmarks/loading.py [--rows 200000] [--model DIR]

Questions and answers of some 45 words are made up. Each stage is that of `ngdiff unlearn`; its seconds stand beside
those of `json.loads` for every line of both files, and its memory is what the process takes at most beyond what it held
at its beginning. Tokens are those of a model's tokenizer, or of one of 4096 tokens, trained on a part of the rows.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WORDS = ("old", "town", "keeps", "seven", "wells", "trades", "salt", "for", "iron", "every", "autumn", "grey", "river")
SIDES = ("forget", "retain")


def write_rows(file: Path, side: str, count: int) -> None:
    """Rows of a side, none of which is in the other."""
    draw = random.Random(side)
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            question = f"What is known of {side} town {number}, the {draw.choice(WORDS)} {draw.choice(WORDS)}?"
            answer = f"In town {number} {' '.join(draw.choices(WORDS, k=35))}."
            out.write(json.dumps({"question": question, "answer": answer}) + "\n")


def resident(what: str) -> int:
    """A figure of /proc/self/status in bytes."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(what))
    return int(line.split()[1]) * 1024


def measured(stage: Callable[[], Any]) -> tuple[Any, float, int]:
    """What a stage returns, its CPU seconds, and its peak of memory above that before."""
    Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak of what came before
    held, start = resident("VmRSS"), time.process_time()
    result = stage()
    return result, time.process_time() - start, resident("VmHWM") - held


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="of each of the two files (200000)")
    parser.add_argument("--model", help="folder with a tokenizer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = {side: Path(name, f"{side}.jsonl") for side in SIDES}
        for side, file in files.items():
            write_rows(file, side, arguments.rows)
        start = time.process_time()
        for file in files.values():
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    json.loads(line)
        plain = time.process_time() - start

        from ngdiff.data import read_rows

        read, *figures = measured(lambda: [read_rows(str(files[side]), role=f"--{side}") for side in SIDES])
        stages: dict[str, Sequence[float]] = {"read": figures}

        from ngdiff.data import check_overlap, resolve_template
        from ngdiff.data.encode import encode_rows
        from ngdiff.modeling import load_tokenizer, train_tokenizer

        forget, retain = read
        sample = (text for row in forget[:2000] for text in (row.prompt, row.answer))
        tokenizer = load_tokenizer(arguments.model) if arguments.model else train_tokenizer(sample)
        template = resolve_template("auto", tokenizer, forget)
        stages["compared"] = measured(
            lambda: check_overlap(forget, retain, drop=False, tokenizer=tokenizer, template=template)
        )[1:]
        encoded, *figures = measured(
            lambda: [encode_rows(rows, tokenizer, template, max_length=512) for rows in (forget, retain)]
        )
        stages["encoded"] = figures
    tokens = sum(len(row["input_ids"]) for rows in encoded for row in rows)
    print(f"2 x {arguments.rows} rows, {tokens:,} tokens; json.loads of every line: {plain:.2f} CPU s")
    print("| stage | CPU s | / json.loads | memory, MB |\n|---|---|---|---|")
    for stage, (seconds, memory) in stages.items():
        print(f"| {stage} | {seconds:.2f} | {seconds / plain:.1f} | {memory / 1e6:.0f} |")


if __name__ == "__main__":
    main()
