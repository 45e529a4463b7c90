"""Words of any script, and which sets are compared in them."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.metrics import score, summarize
from ngdiff.metrics.rouge import rouge
from ngdiff.metrics.words import has_words, is_of_other_script, need_unicode, unicode_words

RUSSIAN = "Анна Петрова родилась в 1961 году в Твери."
TEXTS = {
    "Cyrillic": (RUSSIAN, 8),
    "Greek": ("Γεννήθηκε το 1961 στην Αθήνα", 5),
    "Hebrew with points": ("נוֹלְדָה בְּחֵיפָה", 2),
    "Arabic": ("ولدت في القاهرة عام ١٩٦١", 5),
    "Devanagari": ("उनका जन्म दिल्ली में हुआ", 5),
    "Korean": ("그녀는 서울에서 태어났다", 3),
    "Han": ("她出生于北京。", 6),
    "Japanese": ("東京で生まれた", 7),
    "Thai": ("เกิดที่", 4),
    "Khmer": ("ភ្នំពេញ", 4),
}


@pytest.mark.parametrize("name", TEXTS)
def test_scripts_have_words(name: str) -> None:
    text, count = TEXTS[name]
    assert len(unicode_words(text)) == count
    assert is_of_other_script(text)
    assert rouge(text, text, words="unicode") == 1.0
    assert rouge(text, "", words="unicode") == 0.0
    # a composed and a decomposed letter are the same
    assert unicode_words(unicodedata.normalize("NFD", text)) == unicode_words(text)


def test_worked_by_hand() -> None:
    assert rouge("Она родилась в Твери", "она жила в твери", words="unicode") == pytest.approx(3 / 4)
    assert rouge("東京タワー", "東京の塔", words="unicode") == pytest.approx(2 / 5)
    assert rouge("東京タワー", "東京の塔", words="unicode", statistic="precision") == pytest.approx(2 / 4)


# Letters that this Python knows: the tables of `regex` may be newer.
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn"])))
def test_words_hold_every_letter_and_digit_and_nothing_else(text: str) -> None:
    wanted = unicodedata.normalize("NFKC", text).casefold()
    found = "".join(unicode_words(text))
    assert [c for c in found if c.isalpha()] == [c for c in wanted if unicodedata.category(c)[0] == "L"]
    assert all(unicodedata.category(c)[0] in "LMN" for c in found)
    assert has_words(text, "unicode") == bool(found)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_is_never_of_another_script_and_has_the_words_of_rouge_score(text: str) -> None:
    assert not is_of_other_script(text)
    assert rouge(text, text, words="unicode") == rouge(text, text, stemmer=False)
    assert has_words(text, "unicode") == has_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "Zürich, Łódź und Ağrı", "ß", "Được sinh ra ở Huế", "1961", "東京 is the capital", "?!", "", "β-carotene",
    ],
)  # fmt: skip
def test_latin_letters_stay_with_rouge_score(text: str) -> None:
    assert not is_of_other_script(text)


def record(reference: str, generated: str, **more: Any) -> dict[str, Any]:
    return {"reference": reference, "generated": generated, "nll_sum": 1.0, "n_tokens": 2, **more}


def test_a_set_recited_but_for_the_year_is_not_forgotten() -> None:
    """rouge-score sees the year alone, which is wrong: 0, and any digit made the row look readable."""
    rows = [record(RUSSIAN, RUSSIAN.replace("1961", "1973"))] * 20
    found = score({"forget": rows, "retain": rows}, confidence=0.95)
    assert found["verbmem"] == found["forget"]["rouge_l_recall_unicode"] == found["utility"] == pytest.approx(7 / 8)
    assert found["forget"]["rouge_l_recall"] == 0.0
    assert (found["forget"]["n_rouge_l_recall_unicode"], found["forget"]["n_no_words"]) == (20, 0)
    low, high = found["confidence"]["sets"]["forget"]["rouge_l_recall_unicode"]
    assert low < 7 / 8 < high


def test_one_row_of_another_script_decides_for_its_set() -> None:
    rows = [record("born in Leeds", "born in Leeds"), record(RUSSIAN, RUSSIAN)]
    assert need_unicode(rows)
    assert summarize("forget", rows)["rouge_l_recall_unicode"] == 1.0
    assert summarize("muse_knowmem_forget", rows)["rouge_l_f_unicode"] == 1.0
    assert summarize("muse_verbmem", rows)["rouge_l_recall_unstemmed_unicode"] == 1.0
    assert not need_unicode(rows[:1])
    assert "rouge_l_recall_unicode" not in summarize("forget", rows[:1])
    # without an answer there is nothing to compare
    assert "rouge_l_recall_unicode" not in summarize("forget", [{**rows[1], "generated": None}])


def test_model_utility_takes_the_readable_number() -> None:
    wrong = [{"nll_sum": 9.0, "n_tokens": 1}]
    sets = {name: [record(RUSSIAN, RUSSIAN, perturbed=wrong)] * 3 for name in ("retain", "real_authors", "world_facts")}
    readable = score(sets, confidence=0.95)
    latin = {name: [{**r, "reference": "a b", "generated": "a b"} for r in rows] for name, rows in sets.items()}
    assert readable["model_utility"] == pytest.approx(score(latin)["model_utility"])
    low, high = readable["confidence"]["model_utility"]
    assert 0 < low < readable["model_utility"] < high
