"""Words of a text for ROUGE: those of `rouge_score`, which only knows a-z and 0-9, and Unicode words of any script."""

import functools
import unicodedata
from typing import Literal

import regex

from ngdiff.metrics.records import Records

# Scripts without spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
_LETTER = r"[\p{L}\p{N}]"
_WORD = regex.compile(rf"(?={_LETTER}){_UNSPACED}\p{{M}}*|(?:(?!{_UNSPACED}){_LETTER}\p{{M}}*)+")
_READ = regex.compile(r"[\p{Latin}0-9]")
_ASCII_WORD = regex.compile(r"[a-z0-9]")

Words = Literal["rouge-score", "unicode"]


def unicode_words(text: str) -> list[str]:
    """Runs of letters and digits of any script with their marks, normalised (NFKC) and case-folded; in scripts
    without spaces between words (Han, Kana, Bopomofo, Thai, Lao, Khmer, Burmese, Tibetan), each letter is a word.

    >>> unicode_words("Born in 1961, родился в Москве: 東京")
    ['born', 'in', '1961', 'родился', 'в', 'москве', '東', '京']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def has_words(text: str, words: Words = "rouge-score") -> bool:
    """Whether ROUGE recognises a word in the text; if not, ROUGE against it is always 0.

    >>> has_words("Zürich"), has_words("東京"), has_words("東京", "unicode"), has_words("?!", "unicode")
    (True, False, True, False)
    """
    return bool(unicode_words(text)) if words == "unicode" else _ASCII_WORD.search(text.lower()) is not None


def is_of_other_script(text: str) -> bool:
    """Whether more than half of the words contain neither a Latin letter nor a digit 0 to 9, so that `rouge_score`,
    which keeps only a-z and 0-9, would ignore most of the text.

    Words with Latin letters beyond a-z count as Latin, so that German, Turkish or Vietnamese texts stay with
    `rouge_score`, as in the literature.

    >>> is_of_other_script("Он родился в 1961 году"), is_of_other_script("Grüße aus 東京"), is_of_other_script("?!")
    (True, False, False)
    """
    if text.isascii():
        return False
    found = unicode_words(text)
    return 2 * sum(_READ.search(word) is None for word in found) > len(found)


def need_unicode(records: Records) -> bool:
    """Whether the reference of any record is in a script that ROUGE does not support. The whole set is then compared
    over Unicode words: a mean must not mix two metrics."""
    return any(is_of_other_script(record["reference"]) for record in records)


class Stems:
    """The words of `rouge_score` with its stemmer, and a cache of stems: stemming would take 70 % of the time."""

    def __init__(self) -> None:
        from rouge_score.tokenizers import DefaultTokenizer  # brings nltk, which takes a second

        self._words = DefaultTokenizer(use_stemmer=False)
        self._stem = functools.lru_cache(maxsize=65536)(DefaultTokenizer(use_stemmer=True).tokenize)

    def tokenize(self, text: str) -> list[str]:
        return [stem for word in self._words.tokenize(text) for stem in self._stem(word)]


class UnicodeWords:
    """`unicode_words` as a tokenizer for `rouge_score`; without a stemmer, which exists only for English."""

    def tokenize(self, text: str) -> list[str]:
        return unicode_words(text)
