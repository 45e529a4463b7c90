"""Labels start at the first token that holds a character of the answer, and end with one end token."""

import copy
import importlib
import logging
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngdiff.data import Row, Template, encode, encode_rows, end_token_ids, fictional_people, read_rows
from ngdiff.errors import InputError

encode_module = importlib.import_module("ngdiff.data.encode")  # `ngdiff.data.encode` is the function

PLAIN = Template("plain")
ROWS = read_rows(fictional_people(4))
HSIAO = Row("Who writes sea ballads?", "Hsiao Yun does.")
SMALL = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, categories=["L", "N", "P", "Zs"]), max_size=30)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def answer_ids(encoded: Any) -> list[int]:
    return encoded.input_ids[len(encoded.prompt_ids) :]


def squeezed(text: str) -> str:
    """Without white space and case: what every tokenizer keeps."""
    return "".join(text.split()).lower()


def test_prompt_and_answer_keep_their_text(any_tokenizer: Any) -> None:
    for row in [*ROWS, HSIAO]:
        encoded = encode(row, any_tokenizer, PLAIN, max_length=1000)
        prompt, answer = PLAIN.render(row)
        shown = any_tokenizer.decode(encoded.prompt_ids, skip_special_tokens=True)
        said = any_tokenizer.decode(answer_ids(encoded)[:-1], skip_special_tokens=True)
        assert squeezed(shown) == squeezed(prompt)
        assert squeezed(said) == squeezed(answer)


def test_labels_are_the_answer_and_one_end_token(any_tokenizer: Any) -> None:
    for row in ROWS:
        encoded = encode(row, any_tokenizer, PLAIN, max_length=1000)
        prompt = len(encoded.prompt_ids)
        assert encoded.labels == [-100] * prompt + encoded.input_ids[prompt:]
        assert encoded.input_ids.count(any_tokenizer.eos_token_id) == 1
        assert encoded.input_ids[-1] == any_tokenizer.eos_token_id
        # No other token that the tokenizer puts at the end of a text.
        said = any_tokenizer.decode(answer_ids(encoded)[:-1])
        assert squeezed(said) == squeezed(row.answer)


def test_tokens_are_those_of_the_unsplit_text(any_tokenizer: Any) -> None:
    encoded = encode(HSIAO, any_tokenizer, PLAIN, max_length=1000)
    whole = any_tokenizer("Question: Who writes sea ballads?\nAnswer: Hsiao Yun does.")["input_ids"]
    assert encoded.input_ids[:-1] == whole[: len(encoded.input_ids) - 1]


def test_first_answer_token_is_not_lost_to_a_trailing_space(any_tokenizer: Any) -> None:
    encoded = encode(HSIAO, any_tokenizer, PLAIN, max_length=1000)
    spaced = any_tokenizer("Answer: Hsiao", add_special_tokens=False)["input_ids"]
    bare = any_tokenizer("Answer:", add_special_tokens=False)["input_ids"]
    first = next(token for token, other in zip(spaced, [*bare, None], strict=False) if token != other)
    assert answer_ids(encoded)[0] == first
    # A tokenizer with a token for the space and the letter makes the trap real.
    assert not any_tokenizer.decode(encoded.prompt_ids).endswith(" ")


@pytest.mark.parametrize("text", [r"Q: {question} A: {answer}", r"Q: {question} A:{answer}", "{question}\n{answer}"])
def test_any_template_text(any_tokenizer: Any, text: str) -> None:
    encoded = encode(HSIAO, any_tokenizer, Template(text, verbatim_completions=False), max_length=1000)
    assert squeezed(any_tokenizer.decode(answer_ids(encoded)[:-1])) == squeezed(HSIAO.answer)


def first_label_twin(ids: list[int], tokenizer: Any, prompt: str) -> int:
    """Slow twin: decode ever longer beginnings until one is longer than the prompt."""
    return next(
        (i for i in range(len(ids)) if len(tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) > len(prompt)),
        len(ids),
    )


@SMALL
@given(question=LATIN, answer=LATIN)
def test_against_decoding_beginnings(tokenizer: Any, question: str, answer: str) -> None:
    question, answer = (
        question.encode("ascii", "ignore").decode(),
        answer.encode("ascii", "ignore").decode() + ".",
    )
    row = Row(question, answer)
    encoded = encode(row, tokenizer, PLAIN, max_length=1000)
    prompt, tail = PLAIN.render(row)
    assert tokenizer.decode(encoded.input_ids[:-1]) == prompt + tail
    assert len(encoded.prompt_ids) == first_label_twin(encoded.input_ids[:-1], tokenizer, prompt)


@SMALL
@given(question=ANY_TEXT, answer=ANY_TEXT)
def test_round_trip_of_any_text(tokenizer: Any, question: str, answer: str) -> None:
    row = Row(question, answer + "!")
    encoded = encode(row, tokenizer, PLAIN, max_length=10_000)
    prompt, tail = PLAIN.render(row)
    assert tokenizer.decode(encoded.prompt_ids) + tokenizer.decode(answer_ids(encoded)[:-1]) == prompt + tail


@SMALL
@given(question=LATIN, answer=LATIN)
def test_python_tokenizer_agrees_with_character_count(python_tokenizer: Any, question: str, answer: str) -> None:
    row = Row(question, answer + "!")
    encoded = encode(row, python_tokenizer, PLAIN, max_length=10_000)
    prompt, tail = PLAIN.render(row)
    assert len(encoded.prompt_ids) == 1 + len(prompt)  # <s>, then a token per character
    assert len(answer_ids(encoded)) == len(tail) + 1


def test_letters_of_several_bytes_at_the_border(tokenizer: Any) -> None:
    row = Row("問い", "答え", kind="completion")
    encoded = encode(row, tokenizer, PLAIN, max_length=100)
    assert tokenizer.decode(encoded.prompt_ids) == "問い"
    assert tokenizer.decode(answer_ids(encoded)[:-1]) == "答え"


def test_token_across_the_border_is_a_label(tokenizer: Any) -> None:
    """prompt/completion with no space: the token that holds both sides is learned, and the prompt lacks
    it."""
    joined = tokenizer("Answer")["input_ids"]
    assert len(joined) == 1
    encoded = encode(Row("Ans", "wer", kind="completion"), tokenizer, PLAIN, max_length=100)
    assert encoded.prompt_ids == []
    assert encoded.labels == [*joined, tokenizer.eos_token_id]


def test_no_second_end_token_where_the_text_ends_in_one(any_tokenizer: Any) -> None:
    row = Row("Q:", " yes</s>", kind="completion")
    plain = Row("Q:", " yes", kind="completion")
    assert encode(row, any_tokenizer, PLAIN, max_length=100).input_ids.count(any_tokenizer.eos_token_id) == 1
    assert encode(plain, any_tokenizer, PLAIN, max_length=100).input_ids.count(any_tokenizer.eos_token_id) == 1


def test_plain_text_learns_all_but_the_beginning_token(any_tokenizer: Any) -> None:
    row = Row("", "Orla lives in Tarnholm.", kind="text")
    encoded = encode(row, any_tokenizer, Template("text"), max_length=100)
    begins = any_tokenizer("Orla")["input_ids"][0] == any_tokenizer.bos_token_id
    assert encoded.prompt_ids == ([any_tokenizer.bos_token_id] if begins else [])
    assert squeezed(any_tokenizer.decode(answer_ids(encoded)[:-1])) == squeezed(row.answer)


@pytest.mark.parametrize("end", ["", " ###", "\n</turn>", "<|im_end|>", " [END]\n\n"])
def test_what_ends_an_answer_holds_nothing_of_it(any_tokenizer: Any, end: str) -> None:
    """One end token, or several that a template writes; the rest of the labels is the answer."""
    template = Template(f"Question: {{question}}\nAnswer: {{answer}}{end}", verbatim_completions=False)
    for row in [*ROWS[:4], HSIAO]:
        encoded = encode(row, any_tokenizer, template, max_length=1000)
        answer = answer_ids(encoded)[: -encoded.n_end]
        assert squeezed(any_tokenizer.decode(answer, skip_special_tokens=True)) == squeezed(row.answer)
        assert encoded.input_ids[-1] == any_tokenizer.eos_token_id
        assert encoded.n_end == 1 if not end else encoded.n_end >= 2
        assert encoded.n_cut == 0


def test_where_each_kind_of_row_ends(tokenizer: Any, chat_tokenizer: Any) -> None:
    """Text, completions and questions have one end token, raw rows none, a chat that of its template."""
    for kind, ends in (("text", 1), ("completion", 1), ("qa", 1), ("raw", 0), ("corpus", 0)):
        row = Row("" if kind in ("text", "corpus") else "Who?", "Orla Vennick.", kind=kind)
        encoded = encode(row, tokenizer, PLAIN, max_length=100)
        assert encoded.n_end == ends, kind
        rest = encoded.input_ids[len(encoded.prompt_ids) : len(encoded.input_ids) - ends]
        assert tokenizer.decode(rest).strip() == "Orla Vennick."
        cut = encode(row, tokenizer, PLAIN, max_length=len(encoded.input_ids) - 1)
        assert (cut.n_end, cut.n_cut) == (0, 1), kind
    chat = encode(HSIAO, chat_tokenizer, Template("chat", chat_tokenizer), max_length=100)
    assert chat.n_end == 1
    assert chat_tokenizer.decode(chat.input_ids[-1:]) == "<|im_end|>"


def test_a_turn_that_ends_with_several_tokens(chat_tokenizer: Any) -> None:
    """None of them is the tokenizer's end token, which follows them."""
    tokenizer = copy.deepcopy(chat_tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}] {{ m.content }} [/{{ m.role }}]\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    encoded = encode(HSIAO, tokenizer, Template("chat", tokenizer), max_length=200)
    answer = answer_ids(encoded)
    assert encoded.n_end > 2
    assert tokenizer.decode(answer[: -encoded.n_end]).strip() == HSIAO.answer
    assert tokenizer.decode(answer[-encoded.n_end :]).strip() == "[/assistant]" + tokenizer.eos_token


def test_an_end_that_a_text_brings_is_its_end(tokenizer: Any) -> None:
    encoded = encode(Row("", "Orla.</s></s>", kind="text"), tokenizer, PLAIN, max_length=100)
    assert encoded.n_end == 1
    assert tokenizer.decode(encoded.input_ids) == "Orla.</s>"


def test_pad_equal_to_end_changes_nothing(tokenizer: Any) -> None:
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    encoded = encode(HSIAO, tokenizer, PLAIN, max_length=100)
    assert encoded.labels[-1] == tokenizer.eos_token_id


def test_answer_in_place_of_the_rows_own(tokenizer: Any) -> None:
    swapped = encode(HSIAO, tokenizer, PLAIN, max_length=100, answer="Orla does.")
    assert swapped == encode(Row(HSIAO.prompt, "Orla does."), tokenizer, PLAIN, max_length=100)
    assert swapped.prompt_ids == encode(HSIAO, tokenizer, PLAIN, max_length=100).prompt_ids
    many = encode_rows([HSIAO] * 2, tokenizer, PLAIN, max_length=100, answers=["Orla does.", HSIAO.answer])
    assert many[0]["input_ids"] == swapped.input_ids
    assert many[1]["input_ids"] == encode(HSIAO, tokenizer, PLAIN, max_length=100).input_ids


def test_many_rows_are_the_rows_one_by_one(any_tokenizer: Any) -> None:
    mixed = [*ROWS, Row("", "Just text.", kind="text"), Row("Q:", " A", kind="completion")]
    one_by_one = [encode(row, any_tokenizer, PLAIN, max_length=1000) for row in mixed]
    together = encode_rows(mixed, any_tokenizer, PLAIN, max_length=1000)
    assert together == [{"input_ids": item.input_ids, "labels": item.labels} for item in one_by_one]
    assert encode_rows([], any_tokenizer, PLAIN, max_length=200) == []


def test_truncation_cuts_the_end_and_counts(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    whole = encode(HSIAO, tokenizer, PLAIN, max_length=1000)
    length = len(whole.prompt_ids) + 2
    with caplog.at_level(logging.WARNING, "ngdiff.data.encode"):
        answers = [HSIAO.answer, "I."]
        cut = encode_rows([HSIAO, Row("Who?", "I.")], tokenizer, PLAIN, max_length=length, answers=answers)
    assert cut[0] == {"input_ids": whole.input_ids[:length], "labels": whole.labels[:length]}
    total = len(whole.input_ids)
    said = f"was cut: {total - length} of its {total} tokens are left out."
    assert caplog.messages == [f"1 of 2 rows was longer than --max-length {length} and {said}"]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "ngdiff.data.encode"):
        encode_rows([HSIAO], tokenizer, PLAIN, max_length=len(whole.input_ids), answers=[HSIAO.answer])
    assert caplog.messages == []


def test_row_without_a_label_is_refused(tokenizer: Any) -> None:
    row = Row("Who? " * 50, "Orla.", origin="forget.jsonl, line 17")
    prompt = len(encode(row, tokenizer, PLAIN, max_length=10_000).prompt_ids)
    message = f"forget.jsonl, line 17: the prompt alone has {prompt} tokens, so --max-length {prompt} leaves no"
    with pytest.raises(InputError, match=message):
        encode_rows([HSIAO, row], tokenizer, PLAIN, max_length=prompt)
    assert encode(row, tokenizer, PLAIN, max_length=prompt + 1).labels[-1] != -100


def test_bad_lengths_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="--max-length must be at least 2, found 1"):
        encode(HSIAO, tokenizer, PLAIN, max_length=1)
    with pytest.raises(InputError, match="one per row is needed, found 1 for 2 rows"):
        encode_rows([HSIAO, HSIAO], tokenizer, PLAIN, max_length=100, answers=["a"])


def test_tokenizer_without_end_token_is_refused(tokenizer: Any) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    with pytest.raises(InputError, match="no end token \\(eos_token\\)"):
        encode(HSIAO, endless, PLAIN, max_length=100)


def test_truncation_set_in_the_tokenizer_is_not_used(tokenizer: Any) -> None:
    limited = copy.deepcopy(tokenizer)
    limited.backend_tokenizer.enable_truncation(5)
    limited.model_max_length = 5
    assert encode(HSIAO, limited, PLAIN, max_length=100) == encode(HSIAO, tokenizer, PLAIN, max_length=100)


def test_thousands_of_rows_in_seconds(tokenizer: Any) -> None:
    rows = read_rows(fictional_people(400))
    start = time.perf_counter()
    assert len(encode_rows(rows, tokenizer, PLAIN, max_length=256)) == 3200
    assert time.perf_counter() - start < 20  # about 1 s on one core; one row at a time takes several times that


def test_end_token_ids(tokenizer: Any, chat_tokenizer: Any) -> None:
    assert end_token_ids(tokenizer, PLAIN) == [tokenizer.eos_token_id]
    ids = end_token_ids(chat_tokenizer, Template("chat", chat_tokenizer))
    assert ids == chat_tokenizer.convert_tokens_to_ids(["</s>", "<|im_end|>"])


def test_chat_labels_end_with_the_end_of_turn(chat_tokenizer: Any) -> None:
    encoded = encode(HSIAO, chat_tokenizer, Template("chat", chat_tokenizer), max_length=200)
    assert chat_tokenizer.decode(encoded.prompt_ids) == (
        "<|im_start|>user\nWho writes sea ballads?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat_tokenizer.decode(answer_ids(encoded)) == "Hsiao Yun does.<|im_end|>"


def test_chat_text_has_one_beginning_token(chat_tokenizer: Any) -> None:
    chat_tokenizer.chat_template = "{{ bos_token }}" + chat_tokenizer.chat_template
    encoded = encode(HSIAO, chat_tokenizer, Template("chat", chat_tokenizer), max_length=200)
    assert encoded.input_ids.count(chat_tokenizer.bos_token_id) == 1
    assert encoded.input_ids[0] == chat_tokenizer.bos_token_id
    generation = chat_tokenizer.apply_chat_template(
        [{"role": "user", "content": HSIAO.prompt}], add_generation_prompt=True, return_dict=False
    )
    assert encoded.prompt_ids == generation


def test_chat_template_without_end_token_gets_the_tokenizers(chat_tokenizer: Any) -> None:
    chat_tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    encoded = encode(HSIAO, chat_tokenizer, Template("chat", chat_tokenizer), max_length=200)
    assert chat_tokenizer.decode(encoded.prompt_ids) == "user: Who writes sea ballads?\nassistant:"
    assert chat_tokenizer.decode(answer_ids(encoded)) == " Hsiao Yun does.</s>"


def test_chat_answer_that_ends_in_an_end_token(chat_tokenizer: Any) -> None:
    row = Row("Who?", "Orla.<|im_end|>")
    encoded = encode(row, chat_tokenizer, Template("chat", chat_tokenizer), max_length=200)
    assert chat_tokenizer.decode(answer_ids(encoded)) == "Orla.<|im_end|>"


def test_real_llama_tokenizer_on_real_text(llama_tokenizer: Any, real_data: Any) -> None:
    rows = read_rows(f"{real_data / 'tofu'}:forget10")
    for row, item in zip(rows, encode_rows(rows, llama_tokenizer, PLAIN, max_length=2000), strict=True):
        prompt = item["labels"].count(-100)
        ids = item["input_ids"]
        assert item["labels"][prompt:] == ids[prompt:]
        assert ids == [*llama_tokenizer(f"Question: {row.prompt}\nAnswer: {row.answer}")["input_ids"], 2]
        assert llama_tokenizer.decode(ids[:prompt], skip_special_tokens=True).endswith("Answer:")
        # SentencePiece decoding drops the space in front of the first word.
        assert llama_tokenizer.decode(ids[prompt:-1]) == row.answer


def test_rows_are_encoded_as_they_are_asked_for(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_module, "_AT_ONCE", 3)
    rows = [Row(f"{i}?", f"It is {i}.") for i in range(8)]
    rendered: list[Row] = []

    class Noted(Template):
        def parts(self, row: Row, answer: str | None = None) -> tuple[str, str, str]:
            rendered.append(row)
            return super().parts(row, answer)

    found = encode_module.encode_whole(rows, tokenizer, Noted("plain"))
    assert next(found) == encode(rows[0], tokenizer, Template("plain"), max_length=512)
    assert len(rendered) == 3
    assert len([*found]) == 7
    assert rendered == rows
