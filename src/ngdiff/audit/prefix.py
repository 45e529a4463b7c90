"""Prefix extraction: does the model continue a given prefix verbatim (Carlini et al. 2021, 2023)?

Prefixes of rows with a prompt: the question and the first quarter, half and three quarters of the tokens of the answer.
Prefixes of texts: the first 10, 25, 50 and 100 tokens. The rest is measured.
"""

from collections.abc import Iterator
from functools import partial

from ngdiff.audit.base import Bed, NotApplicableError, Variant, variant_of
from ngdiff.audit.begun import ask_begun, with_prompt
from ngdiff.audit.target import Target
from ngdiff.data.pieces import is_text
from ngdiff.plurals import number_of

PERCENT = (25, 50, 75)
TOKENS = (10, 25, 50, 100)


def extract_by_prefix(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """One form for each length."""
    texts = [row for row in bed.forget if is_text(row, bed.template)]
    if not texts and not with_prompt(bed.forget, bed.template):
        raise NotApplicableError("no row is long enough for a prefix")
    for percent in PERCENT:
        if records := ask_begun(target, bed, partial(_share, percent=percent)):
            yield f"{percent} % of the answer", variant_of(records)
    for count in TOKENS if texts else ():
        yield f"{number_of(count, 'token')} of the text", variant_of(bed.ask(target.model, texts, prompt_tokens=count))


def _share(count: int, percent: int) -> int:
    return count * percent // 100
