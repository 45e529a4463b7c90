"""`ngdiff methods`: every method, weighting, objective and optimizer, a line each."""

import sys
from collections.abc import Iterable, Sequence

from ngdiff.errors import InputError
from ngdiff.evidence.table import columns

_INTRODUCTION = """\
--method NAME takes a usual name, a weighting, or OBJECTIVE+WEIGHTING: npo+ngdiff, simnpo+imtl-g, idk+gdr, ...
Parameters stand in brackets: --method "npo(beta=0.2)+gdiff(c=0.7)". Your own: --weighting MODULE:FUNCTION,
--forget-objective MODULE:NAME.
"""


def run(words: list[str]) -> None:
    """Print the tables.

    Raises:
        InputError: there are no options but --help.
    """
    if words and words != ["--help"] and words != ["-h"]:
        raise InputError(f"{words[0]} is no option of ngdiff methods, which takes none")
    if words:
        sys.stdout.write("usage: ngdiff methods [options]\n\n")
    sys.stdout.write("\n\n".join([_INTRODUCTION.strip(), *_tables()]) + "\n")


def _tables() -> Iterable[str]:
    from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES
    from ngdiff.training.methods import METHODS
    from ngdiff.training.optimizers import OPTIMIZERS
    from ngdiff.training.presets import PRESETS
    from ngdiff.weighting import WEIGHTINGS

    yield _table(
        "methods (--method): forget objective, retain objective, weighting",
        [(name, f"{m.forget}, {m.retain}, {m.weighting}", m.formula, m.source) for name, m in METHODS.items()],
    )
    yield _table("presets (--preset)", [(name, p.formula, p.source) for name, p in PRESETS.items()])
    yield _table(
        "weightings (--method or --weighting): w = (retain, forget)",
        [(name, w.formula, w.source) for name, w in WEIGHTINGS.items()]
        + [("torchjd:NAME", "Gramian weightings of TorchJD, such as torchjd:upgrad", "TorchJD")],
    )
    yield _table("forget objectives", [(name, o.formula, o.source) for name, o in FORGET_OBJECTIVES.items()])
    yield _table("retain objectives", [(name, o.formula, o.source) for name, o in RETAIN_OBJECTIVES.items()])
    yield _table(
        'optimizers (--optimizer), in place of a search for the learning rate; pip install "ngdiff[optimizers]"',
        [(name, row.formula, row.package) for name, row in OPTIMIZERS.items()],
    )


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([title, *(f"  {line}" for line in columns(rows).splitlines())])
