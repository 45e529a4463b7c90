"""Sampled answers: their distribution, their seed, what is drawn again."""

from typing import Any

import pytest
import torch

from ngdiff.evaluation.sampling import sample_answers

from .decoding import PROMPTS

OPTIONS: dict[str, Any] = {"max_new_tokens": 6, "seed": 1, "accept": lambda number, answer: True, "tries": 1}


@pytest.fixture
def model(make_model: Any, tokenizer: Any) -> Any:
    return make_model("llama", len(tokenizer)).eval()


def test_tokens_are_drawn_from_the_whole_distribution(model: Any, tokenizer: Any) -> None:
    """Counts of first tokens, against those that one pass over the prompt expects."""
    draws, said = 4000, []
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(0.3)  # flat enough for tokens beyond the first 50
        expected = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double().softmax(-1)
    asked = {**OPTIONS, "max_new_tokens": 1, "accept": lambda number, answer: said.append(answer) or True}
    sample_answers(model, tokenizer, [PROMPTS[0]] * draws, **asked)
    texts = [tokenizer.decode([token]).strip() for token in range(len(tokenizer))]
    letters = [token for token, text in enumerate(texts) if text.isalpha() and texts.count(text) == 1]
    rare = [token for token in letters if token not in expected.topk(50).indices]
    for tokens in (letters[::2], letters[1::2], rare):
        chance, wanted = float(expected[tokens].sum()), {texts[token] for token in tokens}
        found = sum(text in wanted for text in said)
        assert chance > 0.01
        assert found == pytest.approx(draws * chance, abs=4.5 * (draws * chance * (1 - chance)) ** 0.5)


def test_answers_are_a_function_of_the_seed_and_move_no_generator(model: Any, tokenizer: Any) -> None:
    state = torch.get_rng_state()
    first = sample_answers(model, tokenizer, PROMPTS * 2, **OPTIONS)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert sample_answers(model, tokenizer, PROMPTS * 2, **OPTIONS) == first
    assert sample_answers(model, tokenizer, PROMPTS * 2, **{**OPTIONS, "seed": 2}) != first
    assert first[: len(PROMPTS)] != first[len(PROMPTS) :]  # equal prompts


def test_what_will_not_do_is_drawn_again(model: Any, tokenizer: Any) -> None:
    seen: list[tuple[int, str]] = []

    def accept(number: int, answer: str) -> bool:
        seen.append((number, answer))
        return number != 1 and sum(other == number for other, _ in seen) > number  # 0 at once, 2 at the third time

    found = sample_answers(model, tokenizer, PROMPTS[:3], **{**OPTIONS, "accept": accept, "tries": 4})
    assert sorted(number for number, _ in seen) == [0, 1, 1, 1, 1, 2, 2, 2]
    assert found[1] is None
    for number in (0, 2):
        assert found[number] == [answer for other, answer in seen if other == number][-1]
    again = [answer for number, answer in seen if number == 1]
    assert len(set(again)) > 1


def test_the_context_bounds_answers(make_model: Any, tokenizer: Any) -> None:
    model = make_model("llama", len(tokenizer), context=16)
    lengths: dict[int, int] = {}
    accept = lambda number, answer: lengths.setdefault(number, len(tokenizer(answer)["input_ids"])) >= 0  # noqa: E731
    found = sample_answers(
        model, tokenizer, [[40] * 16, [40] * 14, [40]], **{**OPTIONS, "accept": accept, "max_new_tokens": 60}
    )
    assert found[0] is None
    assert found[1] is not None
    assert set(lengths) == {1, 2}
