import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.metrics import cut_answer
from ngdiff.metrics.muse import knowmem_f, knowmem_recall, verbmem_f, verbmem_recall
from ngdiff.metrics.rouge import rouge, rouge_l_recalls
from ngdiff.metrics.words import Stems

PIECES = st.lists(st.sampled_from(["\n", "\n\n", "Question", "Question:", "word", " "]), max_size=8).map("".join)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("Leeds", "Leeds"),
        (" Leeds \n", " Leeds \n"),
        ("Leeds\n\nQuestion: Who?", "Leeds"),
        ("Leeds\nQuestion 2", "Leeds"),
        ("Leeds Question: Who?", "Leeds "),
        ("A Question of time", "A Question of time"),
        ("\n\nLeeds", ""),
        ("Question: Who?", ""),
        ("a\nQuestion b\n\nc", "a"),
    ],
)
def test_where_an_answer_ends(text: str, kept: str) -> None:
    assert cut_answer(text) == kept


@given(PIECES)
def test_cutting_is_by_three_splits_and_cutting_again_changes_nothing(text: str) -> None:
    expected = text.split("\n\n")[0].split("\nQuestion")[0].split("Question:")[0]
    assert cut_answer(text) == expected
    assert cut_answer(expected) == expected


def test_f_and_recall_have_the_stemmer_off() -> None:
    record = {"reference": "the cats sat", "generated": "the cat sat on the mat"}
    assert verbmem_recall([record]) == [pytest.approx(2 / 3)]
    assert verbmem_f([record]) == [pytest.approx(2 * (2 / 3) * (2 / 6) / (2 / 3 + 2 / 6))]
    assert rouge_l_recalls([record]) == [1.0]  # with the stemmer, as TOFU has it


def test_only_knowmem_cuts() -> None:
    record = {"reference": "in leeds", "generated": "in\n\nleeds"}
    assert knowmem_recall([record]) == [0.5]
    assert knowmem_f([record]) == [pytest.approx(2 / 3)]
    assert verbmem_recall([record]) == verbmem_f([record]) == [1.0]


@pytest.mark.parametrize("generated", ["", "\n\n", "••••", "東京"])
@pytest.mark.parametrize("metric", [verbmem_f, verbmem_recall, knowmem_f, knowmem_recall])
def test_a_generation_without_words_scores_zero(metric, generated: str) -> None:
    assert metric([{"reference": "in leeds", "generated": generated}]) == [0.0]


@given(st.text(max_size=60), st.text(max_size=60))
def test_looking_stems_up_changes_no_word(first: str, second: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    text = f"{first} authors writing generously {second} CATS' İstanbul"
    assert Stems().tokenize(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)
    peer = RougeScorer(["rougeL"], use_stemmer=True).score(first, second)["rougeL"]
    assert rouge(first, second) == peer.recall
