"""ROUGE of a generated answer against its reference."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from ngdiff.errors import InputError
from ngdiff.metrics.means import mean

Statistic = Literal["precision", "recall", "fmeasure"]
_STATISTICS = ("precision", "recall", "fmeasure")
_WORD = re.compile(r"[a-z0-9]")


class _Stems:
    """Words as `rouge_score` makes them with its stemmer, each stem worked out once: 70 % of the time otherwise."""

    def __init__(self) -> None:
        self._words = DefaultTokenizer(use_stemmer=False)
        self._stem = functools.lru_cache(maxsize=65536)(DefaultTokenizer(use_stemmer=True).tokenize)

    def tokenize(self, text: str) -> list[str]:
        return [stem for word in self._words.tokenize(text) for stem in self._stem(word)]


@functools.cache
def _scorer(kind: str, stemmer: bool) -> RougeScorer:
    return RougeScorer([kind], tokenizer=_Stems() if stemmer else DefaultTokenizer(use_stemmer=False))


@functools.lru_cache(maxsize=4096)  # several statistics of one pair of texts cost one comparison
def _score(kind: str, stemmer: bool, reference: str, generated: str) -> Any:
    return _scorer(kind, stemmer).score(reference, generated)[kind]


def rouge(
    reference: str,
    generated: str,
    *,
    kind: str = "rougeL",
    statistic: Statistic = "recall",
    stemmer: bool = True,
) -> float:
    """ROUGE between two texts, as `rouge_score` computes it (Lin 2004); unit: a fraction in [0, 1].

    With LCS the longest common subsequence of the two word lists, ROUGE-L recall is `LCS / words(reference)`,
    precision `LCS / words(generated)`, fmeasure their harmonic mean. Words are lower-cased runs of a-z and
    0-9; the stemmer (Porter) shortens those of more than three letters. Texts are neither stripped nor cut.

    The defaults, recall with the stemmer on, are what TOFU (Maini et al. 2024) and the NGDiff paper report.
    MUSE (Shi et al. 2024) takes the fmeasure with the stemmer off.

    0 when either text holds no word: nothing was reproduced. See `has_words` for references that can only
    give 0.

    Args:
        kind: `rougeL`, `rougeLsum` or `rouge1` to `rouge9`.

    Raises:
        InputError: an unknown kind or statistic.

    >>> rouge("The cat sat.", "the cats were sitting")
    0.6666666666666666
    >>> rouge("The cat sat.", "")
    0.0
    """
    if not re.fullmatch(r"rouge([1-9]|L|Lsum)", kind):
        raise InputError(f"ROUGE kind {kind!r} is unknown; use rougeL, rougeLsum or rouge1 to rouge9")
    if statistic not in _STATISTICS:
        raise InputError(f"ROUGE statistic {statistic!r} is unknown; use one of {', '.join(_STATISTICS)}")
    return float(getattr(_score(kind, stemmer, reference, generated), statistic))


def has_words(text: str) -> bool:
    """Whether ROUGE sees a word in the text: it knows a-z and 0-9 only, so other scripts always score 0.

    A reference without words makes a model look as if it had forgotten, hence such references are counted
    (`n_no_words`) wherever ROUGE is reported.

    >>> has_words("Zürich"), has_words("東京")
    (True, False)
    """
    return _WORD.search(text.lower()) is not None


def has_generated(record: Mapping[str, Any]) -> bool:
    """Whether the record has a reference and a generated answer (an empty one counts)."""
    return record.get("reference") is not None and record.get("generated") is not None


def rouge_l_recalls(records: Sequence[Mapping[str, Any]]) -> list[float]:
    """ROUGE-L recall with the stemmer on, per record, of `generated` against `reference`."""
    return [rouge(record["reference"], record["generated"]) for record in records]


def rouge_l_recall(records: Sequence[Mapping[str, Any]]) -> float:
    """Mean ROUGE-L recall (stemmer on): Verbmem on the forget set, Utility on the retain set.

    Source: TOFU (arXiv 2401.06121) Section 2.2; the names are those of NGDiff (arXiv 2410.22086), Table 1.
    """
    return mean(rouge_l_recalls(records), "ROUGE-L recall")
