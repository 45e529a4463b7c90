"""Greedy decoding: against a loop without cache or padding, and against a published text."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from ngdiff.errors import InputError
from ngdiff.evaluation.generation import generate_answers
from ngdiff.evaluation.padding import STEPS

from .decoding import PROMPTS, plain_loop


@pytest.mark.parametrize("budget", [1, 60, 4096])
def test_equals_one_prompt_at_a_time_without_cache(model: Any, tokenizer: Any, budget: int) -> None:
    found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=20, tokens_per_batch=budget, show_progress=False)
    assert found == [plain_loop(model, tokenizer, p, 20, {tokenizer.eos_token_id}) for p in PROMPTS]
    assert len(set(found)) > 1
    assert all(module.training for module in model.modules())


def test_published_text_of_stories260k_in_a_batch_with_others(data_folder: Path) -> None:
    folder = data_folder / "lm" / "stories260K"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    golden = json.loads((folder / "greedy_golden.json").read_text(encoding="utf-8"))
    others = [tokenizer(text)["input_ids"] for text in ("Lily saw a", "One day, the big dog and the cat", "Tom")]
    length = len(golden["greedy_ids"]) - len(golden["prompt_ids"])
    found = generate_answers(
        model,
        tokenizer,
        [others[0], golden["prompt_ids"], *others[1:]],
        max_new_tokens=length,
        show_progress=False,
    )
    assert found[1] == golden["greedy_text"].strip()
    alone = generate_answers(model, tokenizer, [others[1]], max_new_tokens=length, show_progress=False)
    assert found[2] == alone[0]


def test_stops_before_the_first_end_token_of_either_kind(make_model: Any, tokenizer: Any) -> None:
    model = make_model("llama", len(tokenizer))
    free = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=20, show_progress=False)
    spoken = tokenizer(free[0])["input_ids"]
    end = spoken[5]
    found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=20, end_ids=[end], show_progress=False)
    ends = {end, tokenizer.eos_token_id}
    assert found == [plain_loop(model, tokenizer, p, 20, ends) for p in PROMPTS]
    assert found[0] != free[0]
    assert found[0] in free[0]


def test_an_end_token_at_once_gives_an_empty_answer(make_model: Any, tokenizer: Any) -> None:
    model = make_model("llama", len(tokenizer)).eval()
    first = int(model(input_ids=torch.tensor([[90]])).logits[0, -1].argmax())
    found = generate_answers(model, tokenizer, [[90]], max_new_tokens=9, end_ids=[first], show_progress=False)
    assert found == [""]


def test_nothing_of_the_models_own_generation_settings_is_used(model: Any, tokenizer: Any) -> None:
    expected = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=12, show_progress=False)
    own = model.generation_config
    own.update(
        do_sample=True, temperature=3.0, top_p=0.5, top_k=7, repetition_penalty=4.0, no_repeat_ngram_size=1,
        min_new_tokens=12, max_length=9, forced_eos_token_id=5, suppress_tokens=list(range(6, 60)),
        num_beams=3, eos_token_id=list(range(100)), bad_words_ids=[[7]],
    )  # fmt: skip
    kept = own.to_dict()
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=12, show_progress=False)
    finally:
        logger.removeHandler(handler)
    assert found == expected
    assert messages == []
    assert model.generation_config is own
    assert own.to_dict() == kept


def test_the_models_settings_come_back_after_an_error(model: Any, tokenizer: Any) -> None:
    own = model.generation_config
    model.generate = None
    with pytest.raises(InputError, match="cannot generate answers"):
        generate_answers(model, tokenizer, PROMPTS, max_new_tokens=2, show_progress=False)
    assert model.generation_config is own
    assert model.training


# peft asks transformers for a name that transformers is about to rename
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters(make_model: Any, tokenizer: Any) -> None:
    base = make_model("llama", len(tokenizer))
    plain = generate_answers(base, tokenizer, PROMPTS, max_new_tokens=8, show_progress=False)
    own = base.generation_config
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    outer = model.generation_config
    found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=8, show_progress=False)
    assert found == [plain_loop(model, tokenizer, p, 8, {tokenizer.eos_token_id}) for p in PROMPTS]
    assert found != plain
    assert base.generation_config is own
    assert model.generation_config is outer


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_full_context_ends_that_answer_only(tokenizer: Any, make_model: Any, kind: str) -> None:
    model = make_model(kind, len(tokenizer), context=36)
    found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=20, show_progress=False)
    room = [min(20, 36 - len(prompt)) for prompt in PROMPTS]
    assert min(room) == 6
    assert found == [
        plain_loop(model, tokenizer, prompt, own, {tokenizer.eos_token_id})
        for prompt, own in zip(PROMPTS, room, strict=True)
    ]


def test_a_prompt_that_fills_the_context(make_model: Any, tokenizer: Any) -> None:
    model = make_model("llama", len(tokenizer), context=30)
    with pytest.raises(InputError, match="prompt 4 has 30 tokens and the model's context holds 30"):
        generate_answers(model, tokenizer, PROMPTS, max_new_tokens=20, show_progress=False)


def test_no_new_tokens_asked_for(model: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="max_new_tokens is 0; an answer needs at least 1"):
        generate_answers(model, tokenizer, PROMPTS, max_new_tokens=0, show_progress=False)


def test_equal_prompts_are_run_once(model: Any, tokenizer: Any) -> None:
    rows = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    found = generate_answers(
        model, tokenizer, [PROMPTS[0], PROMPTS[1], PROMPTS[0]] * 3, max_new_tokens=3, show_progress=False
    )
    assert found == [found[0], found[1], found[0]] * 3
    assert rows[-3:] == [2, 2, 2]
    assert len(rows) == (STEPS + 1) + 3 * STEPS + 3  # a look at the cache, one at padding, and the answers


def test_an_empty_prompt_starts_from_the_begin_or_the_end_token(make_model: Any, make_tokenizer: Any) -> None:
    begins, ends = make_tokenizer(bos_token="<s>"), make_tokenizer()
    model = make_model("llama", len(ends))
    for tokenizer, start in ((begins, begins.bos_token_id), (ends, ends.eos_token_id)):
        found = generate_answers(model, tokenizer, [[], [start]], max_new_tokens=9, show_progress=False)
        assert found[0] == found[1] != ""
    neither = make_tokenizer()
    neither.eos_token = None
    with pytest.raises(InputError, match="an empty prompt needs a tokenizer with a begin or an end token"):
        generate_answers(model, neither, [[]], max_new_tokens=9, show_progress=False)
    # without any special token, padding and the end of the answer still work
    found = generate_answers(model, neither, PROMPTS, max_new_tokens=9, show_progress=False)
    assert found == [plain_loop(model, neither, p, 9, set()) for p in PROMPTS]


def test_progress_bar(model: Any, tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    generate_answers(model, tokenizer, PROMPTS, max_new_tokens=2, description="forget: answers")
    assert "forget: answers: 100%" in capsys.readouterr().err
    generate_answers(model, tokenizer, PROMPTS, max_new_tokens=2, show_progress=False)
    assert capsys.readouterr().err == ""
