import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import PreTrainedModel, PreTrainedTokenizerFast, TrainerCallback

from ngdiff.data import (
    AnswerCollator,
    Row,
    encode,
    encode_rows,
    fictional_people,
    read_rows,
    resolve_template,
)
from ngdiff.errors import InputError
from ngdiff.modeling import build_model, load_model, load_tokenizer, train_tokenizer
from ngdiff.training.finetune import FinetuneConfig, finetune

ROWS = read_rows(fictional_people(4))
TOKENIZER = train_tokenizer([text for row in ROWS for text in (row.prompt, row.answer)], vocab_size=1024)
TEMPLATE = resolve_template("auto", TOKENIZER, ROWS)


@pytest.fixture
def model() -> PreTrainedModel:
    return build_model("llama-micro", TOKENIZER, seed=0)


def config(tmp_path: Path, **options: Any) -> FinetuneConfig:
    return FinetuneConfig(output_dir=str(tmp_path / "out"), use_cpu=True, disable_tqdm=True, **options)


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def mean_loss(model: PreTrainedModel, rows: list[Row]) -> float:
    """Mean cross-entropy of all answer tokens, one row and one token at a time."""
    total, count = 0.0, 0
    for row in rows:
        encoded = encode(row, TOKENIZER, TEMPLATE, max_length=512)
        with torch.no_grad():
            logits = model.eval()(input_ids=torch.tensor([encoded.input_ids])).logits[0].double()
        for position, label in enumerate(encoded.labels):
            if label != -100:
                total -= logits[position - 1].log_softmax(-1)[label].item()
                count += 1
    return total / count


def recall(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> float:
    """Mean ROUGE-L recall of greedy answers."""
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    template = resolve_template("auto", tokenizer, rows)
    scores = []
    for row in rows:
        prompt = torch.tensor([encode(row, tokenizer, template, max_length=512).prompt_ids])
        ids = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=120, do_sample=False)
        text = tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True)
        scores.append(scorer.score(row.answer, text)["rougeL"].recall)
    return sum(scores) / len(scores)


def test_the_defaults_make_a_small_model_recite(tmp_path: Path, model: PreTrainedModel) -> None:
    before = mean_loss(model, ROWS)
    result = finetune(model, TOKENIZER, ROWS, TEMPLATE, config(tmp_path, num_train_epochs=60))
    assert not model.training
    assert before > 5
    assert result.loss <= 0.02
    assert result.epochs < 60
    assert result.steps == result.epochs * 2
    assert result.learning_rate == 2e-3
    assert [epoch for epoch, _ in result.losses] == list(range(1, round(result.epochs) + 1))
    assert mean_loss(model, ROWS) < 0.03
    assert recall(model, TOKENIZER, ROWS) >= 0.95
    assert not list(tmp_path.rglob("*.safetensors"))


def test_one_step_is_gradient_descent_on_the_answer_tokens(tmp_path: Path, model: PreTrainedModel) -> None:
    """The reference: one autograd step on the mean over all answer tokens of the batch, written out."""
    rows, rate = ROWS[:6], 0.5
    reference = build_model("llama-micro", TOKENIZER, seed=0)
    batch = AnswerCollator(TOKENIZER.pad_token_id)(encode_rows(rows, TOKENIZER, TEMPLATE, max_length=512))
    logits = reference(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    labels = batch["labels"][:, 1:]
    torch.nn.functional.cross_entropy(logits[labels != -100], labels[labels != -100]).backward()
    options = {"optim": "sgd", "lr_scheduler_type": "constant", "warmup_steps": 0, "max_grad_norm": 0.0}
    for accumulation, size in ((1, 6), (3, 2)):
        trained = build_model("llama-micro", TOKENIZER, seed=0)
        settings = config(
            tmp_path,
            learning_rate=rate,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            **options,
        )
        assert finetune(trained, TOKENIZER, rows, TEMPLATE, settings).steps == 1
        for parameter, expected in zip(trained.parameters(), reference.parameters(), strict=True):
            assert expected.grad is not None
            torch.testing.assert_close(
                parameter.detach(), (expected - rate * expected.grad).detach(), rtol=1e-5, atol=1e-6
            )


def test_a_seed_fixes_the_run(tmp_path: Path) -> None:
    ends = []
    for seed in (1, 1, 2):
        trained = build_model("llama-micro", TOKENIZER, seed=0)
        finetune(
            trained,
            TOKENIZER,
            ROWS,
            TEMPLATE,
            config(tmp_path, seed=seed, max_steps=4, per_device_train_batch_size=4),
        )
        ends.append(state(trained))
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


class Stop(TrainerCallback):
    """Ends a run in its middle, as an interruption would."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5:
            control.should_training_stop = True


class Count(TrainerCallback):
    """The steps that were taken, not those of an earlier run."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(state.global_step)


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    options = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2}
    whole = build_model("llama-micro", TOKENIZER, seed=0)
    finetune(whole, TOKENIZER, ROWS, TEMPLATE, config(tmp_path / "whole", **options))
    broken = build_model("llama-micro", TOKENIZER, seed=0)
    finetune(broken, TOKENIZER, ROWS, TEMPLATE, config(tmp_path / "broken", **options), callbacks=[Stop()])
    assert not equal(state(whole), state(broken))
    resumed = build_model("llama-micro", TOKENIZER, seed=0)
    count = Count()
    again = config(tmp_path / "broken", **options)
    result = finetune(resumed, TOKENIZER, ROWS, TEMPLATE, again, callbacks=[count], resume=True)
    assert count.steps == [5, 6, 7, 8]  # the last checkpoint was written at step 4
    assert result.steps == 8
    assert equal(state(whole), state(resumed))


def test_fewer_rows_than_a_batch(tmp_path: Path, model: PreTrainedModel) -> None:
    result = finetune(model, TOKENIZER, ROWS[:1], TEMPLATE, config(tmp_path, num_train_epochs=3))
    assert result.steps == 3


def test_stop_loss_can_be_switched_off(tmp_path: Path) -> None:
    for stop_loss, epochs in ((1e9, 1), (None, 3), (0.0, 3)):
        trained = build_model("llama-micro", TOKENIZER, seed=0)
        settings = config(tmp_path, stop_loss=stop_loss, num_train_epochs=3)
        assert finetune(trained, TOKENIZER, ROWS, TEMPLATE, settings).epochs == epochs


def test_the_learning_rate_follows_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, small, expected in (("auto", True, 2e-3), ("auto", False, 2e-5), ("0.01", False, 0.01)):
        monkeypatch.setattr("ngdiff.training.finetune._SMALL_MODEL", 10**9 if small else 1)
        trained = build_model("llama-micro", TOKENIZER, seed=0)
        settings = config(tmp_path, learning_rate=given, max_steps=1)
        assert finetune(trained, TOKENIZER, ROWS, TEMPLATE, settings).learning_rate == expected
        assert settings.learning_rate == (given if given == "auto" else expected)  # the config is not changed


@pytest.mark.parametrize("rate", ["fast", 0, -1.0, "nan", "inf", "0"])
def test_bad_learning_rate(tmp_path: Path, rate: Any) -> None:
    with pytest.raises(InputError, match=rf"--learning-rate {rate} is not auto or a positive number"):
        config(tmp_path, learning_rate=rate)


@pytest.mark.parametrize("loss", [-0.1, math.nan])
def test_bad_stop_loss(tmp_path: Path, loss: float) -> None:
    with pytest.raises(InputError, match=rf"--stop-loss {loss:g} is not from 0 to"):
        config(tmp_path, stop_loss=loss)


def test_stop_loss_needs_log_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--logging-strategy no gives --stop-loss nothing to compare"):
        config(tmp_path, logging_strategy="no")
    config(tmp_path, logging_strategy="no", stop_loss=None)


@pytest.mark.parametrize("length", [1, 513])
def test_bad_max_length(tmp_path: Path, model: PreTrainedModel, length: int) -> None:
    message = {1: "--max-length 1 is not from 2 to 1,000,000,000", 513: "beyond the model's context of 512 tokens"}
    with pytest.raises(InputError, match=message[length]):
        finetune(model, TOKENIZER, ROWS, TEMPLATE, config(tmp_path, max_length=length))


def test_no_rows(tmp_path: Path, model: PreTrainedModel) -> None:
    with pytest.raises(InputError, match="--train: there are no rows"):
        finetune(model, TOKENIZER, [], TEMPLATE, config(tmp_path))


def test_tokenizer_of_another_model(tmp_path: Path) -> None:
    small = build_model("llama-micro", train_tokenizer(["x"], vocab_size=259))
    with pytest.raises(InputError, match="do not belong together"):
        finetune(small, TOKENIZER, ROWS, TEMPLATE, config(tmp_path))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, model: PreTrainedModel) -> None:
    with torch.no_grad():
        model.lm_head.weight[0, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"step 2: the training loss is nan; a smaller --learning-rate"):
        finetune(model, TOKENIZER, ROWS, TEMPLATE, config(tmp_path))


@pytest.mark.skipif("NGDIFF_DATA" not in os.environ, reason="NGDIFF_DATA is not set: no real data")
def test_a_pretrained_model_learns_real_rows(tmp_path: Path) -> None:
    folder = Path(os.environ["NGDIFF_DATA"])
    rows = read_rows(str(folder / "tofu" / "full.json"))[-8:]
    model, tokenizer = (
        load_model(folder / "lm" / "stories260K"),
        load_tokenizer(folder / "lm" / "stories260K"),
    )
    template = resolve_template("auto", tokenizer, rows)
    result = finetune(model, tokenizer, rows, template, config(tmp_path, num_train_epochs=10))
    assert result.losses[-1][1] < 0.8 * result.losses[0][1]


@pytest.mark.slow
@pytest.mark.skipif("NGDIFF_DATA" not in os.environ, reason="NGDIFF_DATA is not set: no real data")
def test_the_defaults_make_llama_tiny_recite_tofu(tmp_path: Path) -> None:
    rows = read_rows(str(Path(os.environ["NGDIFF_DATA"], "tofu", "full.json")))[-200:]
    tokenizer = train_tokenizer(text for row in rows for text in (row.prompt, row.answer))
    model = build_model("llama-tiny", tokenizer, seed=0)
    result = finetune(model, tokenizer, rows, resolve_template("auto", tokenizer, rows), config(tmp_path))
    assert result.epochs <= 15
    assert recall(model, tokenizer, rows) >= 0.95
