import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics.rouge import rouge, rouge_l_recall, rouge_l_recalls
from ngdiff.metrics.words import has_words

WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "cat", "dog", "7"]), max_size=8)


def longest_common(first: list[str], second: list[str]) -> int:
    """Longest common subsequence, by the definition: try every branch."""
    if not first or not second:
        return 0
    if first[0] == second[0]:
        return 1 + longest_common(first[1:], second[1:])
    return max(longest_common(first[1:], second), longest_common(first, second[1:]))


@given(WORDS, WORDS)
def test_equals_the_definition(reference: list[str], generated: list[str]) -> None:
    common = longest_common(reference, generated)
    texts = " ".join(reference), " ".join(generated)
    recall = common / len(reference) if reference and generated else 0.0
    precision = common / len(generated) if reference and generated else 0.0
    assert rouge(*texts) == pytest.approx(recall)
    assert rouge(*texts, statistic="precision") == pytest.approx(precision)
    harmonic = 2 * precision * recall / (precision + recall) if common else 0.0
    assert rouge(*texts, statistic="fmeasure") == pytest.approx(harmonic)


@given(WORDS.filter(bool), WORDS)
def test_text_after_the_answer_does_not_change_recall(reference: list[str], more: list[str]) -> None:
    assert rouge(" ".join(reference), " ".join(reference + more)) == 1.0


def test_worked_by_hand() -> None:
    # 4 words; the longest common subsequence is "was born paris"
    assert rouge("She was born in Paris!", "He was, born: PARIS") == pytest.approx(3 / 5)
    assert rouge("one two three", "three two one", kind="rouge1") == 1.0
    assert rouge("one two three", "three two one", kind="rouge2") == 0.0
    assert rouge("one two three", "three two one") == pytest.approx(1 / 3)


def test_the_stemmer_joins_forms_of_a_word_and_can_be_switched_off() -> None:
    assert rouge("author writing", "authors write") == 1.0
    assert rouge("author writing", "authors write", stemmer=False) == 0.0


@pytest.mark.parametrize(("reference", "generated"), [("", "a cat"), ("a cat", ""), ("", ""), ("...", "a"), ("a", "?")])
@pytest.mark.parametrize("statistic", ["recall", "precision", "fmeasure"])
def test_a_text_without_words_scores_zero(reference: str, generated: str, statistic: str) -> None:
    assert rouge(reference, generated, statistic=statistic) == 0.0  # type: ignore[arg-type]


def test_scripts_that_rouge_cannot_read_score_zero_and_are_known() -> None:
    assert rouge("東京です", "東京です") == 0.0
    assert not has_words("東京です")
    assert has_words("ÀB")


def test_the_mean_over_records() -> None:
    records = [{"reference": "a cat", "generated": "a dog"}, {"reference": "a cat", "generated": ""}]
    assert rouge_l_recalls(records) == [0.5, 0.0]
    assert rouge_l_recall(records) == 0.25


def test_unknown_kind_and_statistic() -> None:
    with pytest.raises(InputError, match="ROUGE kind 'rouge0' is unknown; use rougeL, rougeLsum or rouge1 to rouge9"):
        rouge("a", "a", kind="rouge0")
    with pytest.raises(InputError, match="ROUGE statistic 'f1' is unknown; use one of precision, recall, fmeasure"):
        rouge("a", "a", statistic="f1")  # type: ignore[arg-type]
