"""`--benchmark NAME[:WHERE]`: the sets of a published benchmark, processed as by its authors."""

from collections.abc import Callable
from dataclasses import replace

from ngdiff.data.muse import HUB_ID as MUSE_NEWS
from ngdiff.data.muse import muse_sets
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.sources import read_rows
from ngdiff.data.tofu import HUB_ID as TOFU
from ngdiff.data.tofu import SPLITS as TOFU_SPLITS
from ngdiff.errors import InputError
from ngdiff.paths import user_path

TOFU_LENGTH = 200  # tokens: rows are cut there, and answers end where prompt and answer are as long


def _tofu(where: str | None, split: str, rows: int) -> dict[str, EvaluationSet]:
    """Forget split and retain set (their first `rows` rows), real authors and world facts (all), with the
    paraphrased and perturbed answers. The retain set is `retain_perturbed`, the first 400 rows of the whole."""
    if split not in TOFU_SPLITS:
        raise InputError(f"--split {split} is none of TOFU's: {', '.join(TOFU_SPLITS)}")
    names = {
        "forget": f"{split}_perturbed",
        "retain": "retain_perturbed",
        "real_authors": "real_authors_perturbed",
        "world_facts": "world_facts_perturbed",
    }
    found: dict[str, list[Row]] = {}
    for name, part in names.items():
        source = f"{TOFU if where is None else where}:{part}"
        found[name] = read_rows(source, role=f"--benchmark tofu, {name}")
    return {
        name: EvaluationSet(
            part[:rows] if name in ("forget", "retain") else part, max_length=TOFU_LENGTH, max_new_tokens=TOFU_LENGTH
        )
        for name, part in found.items()
    }


def _muse_news(where: str | None, split: str, rows: int) -> dict[str, EvaluationSet]:
    return {name: replace(part, rows=part.rows[:rows]) for name, part in muse_sets(where).items()}


BENCHMARKS: dict[str, Callable[[str | None, str, int], dict[str, EvaluationSet]]] = {
    "tofu": _tofu,
    "muse-news": _muse_news,
}


HUB_IDS = {"tofu": TOFU, "muse-news": MUSE_NEWS}


def benchmark_sets(benchmark: str, *, split: str = "forget10", rows: int = 300) -> dict[str, EvaluationSet]:
    """The sets of a benchmark by name.

    Args:
        benchmark: `tofu`, `muse-news`, or one of them with `:FOLDER` or `:HUB_NAME` of a copy.
        split: TOFU's forget split.
        rows: Maximum number of rows of a set; TOFU's real authors and world facts are always complete, as in its code.

    Raises:
        InputError: an unknown benchmark or split, fewer than 1 row, or files that cannot be read.
    """
    name, _, where = benchmark.partition(":")
    if name not in BENCHMARKS:
        raise InputError(
            f"--benchmark {benchmark} is not known; one of {', '.join(BENCHMARKS)}, with :FOLDER or :HUB_NAME of a copy"
        )
    if rows < 1:
        raise InputError(f"--benchmark-rows {rows} is not 1 or more")
    if where and where.startswith((".", "/", "~")) and not user_path(where, f"--benchmark {name}:").is_dir():
        raise InputError(f"--benchmark {benchmark}: no folder {where}")
    return {key: replace(part, source=benchmark) for key, part in BENCHMARKS[name](where or None, split, rows).items()}
