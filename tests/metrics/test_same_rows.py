"""Two models on the same rows: whatever the order and the template; nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import score
from ngdiff.metrics.same_rows import check_same_rows
from ngdiff.plurals import some_of

PAIRS = st.lists(st.tuples(st.text(max_size=6), st.sampled_from(["yes", "no"])), min_size=1, max_size=8)


def rows(pairs: list[tuple[str, str]], template: str = "{}") -> list[dict[str, Any]]:
    return [
        {"prompt": template.format(prompt), "reference": reference, "origin": f"f.jsonl, line {i + 1}", "index": i}
        for i, (prompt, reference) in enumerate(pairs)
    ]


@given(PAIRS, st.sampled_from(["{}", "Question: {}\nAnswer:", "<s>[INST] {} [/INST]", "{}?", "a{}"]), st.randoms())
def test_order_and_template_do_not_matter(pairs: list[tuple[str, str]], template: str, random: Any) -> None:
    other = list(pairs)
    random.shuffle(other)
    check_same_rows(rows(pairs), rows(other, template), "x")
    check_same_rows(rows(other, template), rows(pairs), "x")


@given(PAIRS, st.integers(0, 7))
def test_another_reference_is_found(pairs: list[tuple[str, str]], place: int) -> None:
    place %= len(pairs)
    other = rows(pairs)
    other[place]["reference"] += "!"
    some = some_of(1, len(pairs), "row")
    with pytest.raises(InputError, match=rf"x compares .* but {some} of the model is not among those"):
        check_same_rows(rows(pairs), other, "x")


def test_other_questions_with_the_same_answers_are_found() -> None:
    own, other = [("Who is A?", "yes"), ("Who is B?", "no")], [("Who is A?", "yes"), ("Who is C?", "no")]
    with pytest.raises(InputError, match=r"\(first: f\.jsonl, line 2\); evaluate both on the same file"):
        check_same_rows(rows(own), rows(other), "x")


def test_other_numbers_of_rows_are_found() -> None:
    own = rows([("Who?", "a"), ("Where?", "b")])
    with pytest.raises(InputError, match="records of 2 rows of the model and of 1 of the retrained one"):
        check_same_rows(own, own[:1], "forget quality")
    with pytest.raises(InputError, match="records of 1 row of the model and of 2 of the retrained one"):
        check_same_rows(own[:1], own, "forget quality")
    # twice the same row is not two rows
    with pytest.raises(InputError, match="of 2 rows of the model are not among"):
        check_same_rows(own, [own[0], own[0]], "forget quality")


def test_without_texts_the_origin_or_the_index_tells() -> None:
    own = [{"nll_sum": 1.0, "n_tokens": 1, "index": i} for i in range(3)]
    check_same_rows(own, own[::-1], "x")
    with pytest.raises(InputError, match="1 of 3 rows"):
        check_same_rows(own, [*own[:2], {**own[2], "index": 7}], "x")
    check_same_rows([{"nll_sum": 1.0}], [{"nll_sum": 2.0}], "x")  # nothing is known of them but their number


def test_no_text_of_the_data_is_in_the_message() -> None:
    own, other = rows([("Who is Orla?", "a spy")]), rows([("Who is Orla?", "a nun")])
    with pytest.raises(InputError) as caught:
        check_same_rows(own, other, "x")
    assert "Orla" not in str(caught.value)
    assert "spy" not in str(caught.value)


def test_scores_refuse_other_rows() -> None:
    wrong = [{"nll_sum": 3.0, "n_tokens": 1}]
    forget = [{**row, "nll_sum": 1.0, "n_tokens": 1, "perturbed": wrong} for row in rows([("A?", "a"), ("B?", "b")])]
    assert score({"forget": forget}, retrained={"forget": forget[::-1]})["forget_quality"] == 1.0
    with pytest.raises(InputError, match="forget quality compares two models on the same rows"):
        score({"forget": forget}, retrained={"forget": forget[:1]})
    passages = {
        f"muse_privleak_{split}": [
            {"reference": f"{split} {i}", "nll_sum": 1.0 + i, "n_tokens": 1, "token_nll": [1.0 + i]} for i in range(3)
        ]
        for split in ("forget", "holdout")
    }
    assert score(passages, retrained=passages)["privleak"] == 0.0
    fewer = {**passages, "muse_privleak_holdout": passages["muse_privleak_holdout"][:2]}
    with pytest.raises(InputError, match="PrivLeak, by muse_privleak_holdout, compares two models on the same rows"):
        score(passages, retrained=fewer)
