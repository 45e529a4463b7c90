"""MUSE's two text metrics, VerbMem and KnowMem, and the recall that the NGDiff paper reports instead.

Both are ROUGE-L with the stemmer **off** between the reference and the generated text. MUSE (Shi et al. 2024,
arXiv 2407.06460, Section 3.1) takes the F-measure, the NGDiff paper (arXiv 2410.22086, Equations 8 to 10) the
recall; they are different numbers and have different names here. Unit: a fraction in [0, 1]; MUSE prints it
times 100.

The generated text of KnowMem is cut where the model starts to write a question (`cut_answer`).
"""

from ngdiff.metrics.records import Records
from ngdiff.metrics.rouge import Statistic, rouge
from ngdiff.metrics.words import Words

_NEXT_QUESTION = ("\n\n", "\nQuestion", "Question:")


def cut_answer(text: str) -> str:
    """The text before the first blank line, then before the first `Question` that starts a line, then before
    the first `Question:`; whitespace stays.

    After ten questions with answers in its prompt, a model answers and then writes the next question. As in muse_bench,
    for KnowMem only. Cutting is idempotent. Do not strip the text first: MUSE drops everything after a leading blank
    line.

    >>> cut_answer("In Leeds.\\nQuestion: Who?"), cut_answer("\\n\\nIn Leeds.")
    ('In Leeds.', '')
    """
    for mark in _NEXT_QUESTION:
        text = text.partition(mark)[0]
    return text


def verbmem_f(records: Records, *, words: Words = "rouge-score") -> list[float]:
    """ROUGE-L F-measure per record, stemmer off; the mean is MUSE's VerbMem (C1)."""
    return _rouge_l(records, "fmeasure", cut=False, words=words)


def verbmem_recall(records: Records, *, words: Words = "rouge-score") -> list[float]:
    """ROUGE-L recall per record, stemmer off (NGDiff Eq. 8)."""
    return _rouge_l(records, "recall", cut=False, words=words)


def knowmem_f(records: Records, *, words: Words = "rouge-score") -> list[float]:
    """ROUGE-L F-measure per record of the cut answer, stemmer off; the mean is MUSE's KnowMem (C2 forget, C4
    retain)."""
    return _rouge_l(records, "fmeasure", cut=True, words=words)


def knowmem_recall(records: Records, *, words: Words = "rouge-score") -> list[float]:
    """ROUGE-L recall per record of the cut answer, stemmer off (NGDiff Eq. 9 forget, Eq. 10 retain)."""
    return _rouge_l(records, "recall", cut=True, words=words)


def _rouge_l(records: Records, statistic: Statistic, *, cut: bool, words: Words) -> list[float]:
    return [
        rouge(
            record["reference"],
            cut_answer(record["generated"]) if cut else record["generated"],
            statistic=statistic,
            stemmer=False,
            words=words,
        )
        for record in records
    ]
