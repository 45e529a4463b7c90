"""Words of a text for ROUGE: those of `rouge_score`, which knows a-z and 0-9, and those of any script."""

import functools
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import regex
from rouge_score.tokenizers import DefaultTokenizer

# Scripts that are written without spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
_LETTER = r"[\p{L}\p{N}]"
_WORD = regex.compile(rf"(?={_LETTER}){_UNSPACED}\p{{M}}*|(?:(?!{_UNSPACED}){_LETTER}\p{{M}}*)+")
_READ = regex.compile(r"[\p{Latin}0-9]")
_ASCII_WORD = regex.compile(r"[a-z0-9]")

Words = Literal["rouge-score", "unicode"]


def unicode_words(text: str) -> list[str]:
    """Runs of letters and digits of any script with their marks, normalised (NFKC) and case-folded; in scripts
    without spaces between words (Han, Kana, Bopomofo, Thai, Lao, Khmer, Burmese, Tibetan) every letter is a word.

    >>> unicode_words("Born in 1961, родился в Москве: 東京")
    ['born', 'in', '1961', 'родился', 'в', 'москве', '東', '京']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def has_words(text: str, words: Words = "rouge-score") -> bool:
    """Whether ROUGE sees a word in the text; without one it is 0 whatever was generated.

    >>> has_words("Zürich"), has_words("東京"), has_words("東京", "unicode"), has_words("?!", "unicode")
    (True, False, True, False)
    """
    return bool(unicode_words(text)) if words == "unicode" else _ASCII_WORD.search(text.lower()) is not None


def is_of_other_script(text: str) -> bool:
    """Whether more than half of the words have neither a Latin letter nor a digit 0 to 9: `rouge_score`, which cuts
    words down to a-z and 0-9, judges the text by what is left.

    A Latin word is one of its words also where it has letters beyond a-z, so that German, Turkish or Vietnamese stay
    with `rouge_score`, as in the literature.

    >>> is_of_other_script("Он родился в 1961 году"), is_of_other_script("Grüße aus 東京"), is_of_other_script("?!")
    (True, False, False)
    """
    if text.isascii():
        return False
    found = unicode_words(text)
    return 2 * sum(_READ.search(word) is None for word in found) > len(found)


def need_unicode(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the reference of any record is of another script than ROUGE's: then its set is compared in words of
    Unicode, all of it, since a mean of two measures is none."""
    return any(is_of_other_script(record["reference"]) for record in records)


class Stems:
    """Words as `rouge_score` makes them with its stemmer, each stem worked out once: 70 % of the time otherwise."""

    def __init__(self) -> None:
        self._words = DefaultTokenizer(use_stemmer=False)
        self._stem = functools.lru_cache(maxsize=65536)(DefaultTokenizer(use_stemmer=True).tokenize)

    def tokenize(self, text: str) -> list[str]:
        return [stem for word in self._words.tokenize(text) for stem in self._stem(word)]


class UnicodeWords:
    """`unicode_words` for `rouge_score`; no stemmer, which there is for English only."""

    def tokenize(self, text: str) -> list[str]:
        return unicode_words(text)
