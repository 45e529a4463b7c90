"""ROUGE of a generated answer against its reference."""

import functools
import re
from typing import Any, Literal

from ngdiff.errors import InputError
from ngdiff.metrics.means import mean
from ngdiff.metrics.records import Record, Records
from ngdiff.metrics.words import Stems, UnicodeWords, Words

Statistic = Literal["precision", "recall", "fmeasure"]
_STATISTICS = ("precision", "recall", "fmeasure")


def _tokenizer(words: Words, stemmer: bool) -> Any:
    if words == "unicode":
        return UnicodeWords()
    if stemmer:
        return Stems()
    from rouge_score.tokenizers import DefaultTokenizer  # brings nltk, which takes a second

    return DefaultTokenizer(use_stemmer=False)


@functools.cache
def _scorer(kind: str, words: Words, stemmer: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_tokenizer(words, stemmer))


@functools.lru_cache(maxsize=4096)  # several statistics of one pair of texts cost one comparison
def _score(kind: str, words: Words, stemmer: bool, reference: str, generated: str) -> Any:
    return _scorer(kind, words, stemmer).score(reference, generated)[kind]


def rouge(
    reference: str,
    generated: str,
    *,
    kind: str = "rougeL",
    statistic: Statistic = "recall",
    stemmer: bool = True,
    words: Words = "rouge-score",
) -> float:
    """ROUGE between two texts, as `rouge_score` computes it (Lin 2004); unit: a fraction in [0, 1].

    With LCS the length of the longest common subsequence of the two word lists, ROUGE-L recall is
    `LCS / words(reference)`, precision `LCS / words(generated)`, fmeasure their harmonic mean. Words are lower-cased
    runs of a-z and 0-9; the (Porter) stemmer shortens those of more than three letters. Texts are neither stripped nor
    cut.

    The defaults, recall with the stemmer on, are what TOFU (Maini et al. 2024) and the NGDiff paper report.
    MUSE (Shi et al. 2024) uses the fmeasure with the stemmer off.

    Texts in other scripts contain no such words, or only their numbers: `words="unicode"` compares the words of
    `ngdiff.metrics.words.unicode_words`, always without a stemmer.

    ROUGE is 0 if either text contains no word. `ngdiff.metrics.words.has_words` finds references that can only give 0.

    Args:
        kind: `rougeL`, `rougeLsum` or `rouge1` to `rouge9`.

    Raises:
        InputError: an unknown kind or statistic.

    >>> rouge("The cat sat.", "the cats were sitting")
    0.6666666666666666
    >>> rouge("The cat sat.", "")
    0.0
    >>> rouge("Кошка сидела.", "кошка спит", words="unicode")
    0.5
    """
    if not re.fullmatch(r"rouge([1-9]|L|Lsum)", kind):
        raise InputError(f"ROUGE kind {kind!r} is unknown; use rougeL, rougeLsum or rouge1 to rouge9")
    if statistic not in _STATISTICS:
        raise InputError(f"ROUGE statistic {statistic!r} is unknown; use one of {', '.join(_STATISTICS)}")
    return float(getattr(_score(kind, words, stemmer, reference, generated), statistic))


def has_generated(record: Record) -> bool:
    """Whether the record has a reference and a generated answer (an empty one counts)."""
    return record.get("reference") is not None and record.get("generated") is not None


def rouge_l_recalls(records: Records, *, words: Words = "rouge-score") -> list[float]:
    """ROUGE-L recall with the stemmer on, per record, of `generated` against `reference`."""
    return [rouge(record["reference"], record["generated"], words=words) for record in records]


def rouge_l_recall(records: Records) -> float:
    """Mean ROUGE-L recall (stemmer on): Verbmem on the forget set, Utility on the retain set.

    Source: TOFU (arXiv 2401.06121) Section 2.2; the names are those of NGDiff (arXiv 2410.22086), Table 1.
    """
    return mean(rouge_l_recalls(records), "ROUGE-L recall")
