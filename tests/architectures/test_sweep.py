"""Every kind of causal language model: a step, an evaluation, an adapter, a resume, or a refusal with a reason.

Models have random weights, drawn wide, so that what they say depends on every part of them.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.data import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.predict import predict
from ngdiff.modeling import add_adapter, check_savable, load_model, save_model, train_tokenizer
from ngdiff.training import UnlearnConfig, UnlearnTrainer

from .configs import ARCHITECTURES, tiny
from .refusals import DRAWS_IN_TRAINING, NO_ADAPTER, NO_EVALUATION, NO_TRAINING

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PEOPLE = ["Orla Vennick", "Basil Tarn", "Ines Kaldor", "Jon Brask", "Mei Solano", "Ugo Pell"]
FORGET = [
    Row(f"Where was {name} born?"[: 9 + 4 * i], f"In Tarnholm number {i}{' by the sea' * (i % 3)}.")
    for i, name in enumerate(PEOPLE)
]
RETAIN = [Row(f"What does {name} write?", f"{name} writes {'rain and ' * (i % 3)}stones.") for i, name in enumerate(PEOPLE)]  # fmt: skip # noqa: E501
PLAIN = Template("plain")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer([text for row in (*FORGET, *RETAIN) for text in (row.prompt, row.answer)], 300)


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A saved model of each architecture."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny(request.param))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2 and "A_log" not in name:
                parameter.normal_(0, 0.15)
    path = tmp_path_factory.mktemp("models") / request.param
    save_model(model, tokenizer, path)
    yield path
    shutil.rmtree(path)


def trainer(
    model: Any, tokenizer: Any, output: Path, rows: dict[str, Any] | None = None, **options: Any
) -> UnlearnTrainer:
    defaults: dict[str, Any] = {
        "learning_rate": 1e-2, "optim": "sgd", "max_steps": 1, "per_device_train_batch_size": 3,
        "save_strategy": "no", "report_to": [], "disable_tqdm": True, "forget_ceiling": "none", "template": "plain",
    }  # fmt: skip
    args = UnlearnConfig(output_dir=str(output), **{**defaults, **options})
    return UnlearnTrainer(model, args, FORGET[:3], RETAIN[:3], processing_class=tokenizer, **(rows or {}))


def refusal(table: dict[str, str], folder: Path, run: Callable[[], Any]) -> bool:
    """Whether the architecture is one that is refused, with the reason that the table has."""
    if folder.name not in table:
        return False
    with pytest.raises(InputError, match=table[folder.name]):
        run()
    return True


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def gradient(model: Any, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Of the mean cross-entropy of all labels: one row after the other, without padding."""
    model.zero_grad()
    count = sum(label != -100 for row in rows for label in row["labels"][1:])
    for row in rows:
        logits = model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0, :-1].float()
        labels = torch.tensor(row["labels"][1:])
        (torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum") / count).backward()
    return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def norm(vectors: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([v.double().square().sum() for v in vectors.values()]).sum().sqrt())


def test_a_step_is_that_of_plain_autograd(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    if refusal(NO_TRAINING, folder, lambda: trainer(load_model(folder), tokenizer, tmp_path).train()):
        return
    model = load_model(folder)
    check_savable(model, tokenizer)
    if folder.name in DRAWS_IN_TRAINING:
        pytest.skip("its router draws experts at random in training")
    run = trainer(load_model(folder), tokenizer, tmp_path)
    run.train()
    retain, forget = (gradient(model, list(rows)) for rows in (run.retain_dataset, run.forget_dataset))
    long_r, long_f = norm(retain), norm(forget)
    before, after = weights(model), weights(run.model)
    expected = {name: -1e-2 * (retain[name] / long_r - forget[name] / long_f) for name in before}
    error = norm({name: after[name] - before[name] - expected[name] for name in before})
    assert error < 2e-3 * norm(expected)


def test_the_default_knows_what_the_model_said(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    """A step of `lowered`, and the log-probabilities of the model before that it kept."""
    if folder.name in {*NO_TRAINING, *DRAWS_IN_TRAINING}:
        pytest.skip("it is refused, or no two of its passes are alike")
    model, rows = load_model(folder), {"holdout_dataset": RETAIN[3:]}
    run = trainer(load_model(folder), tokenizer, tmp_path, rows, method="lowered+ngdiff")
    kept: list[torch.Tensor] = []
    original = run.compared.attach

    def attach(name: str, batch: Any, answers: Any) -> Any:
        found = original(name, batch, answers)
        if name == "forget":
            kept[:] = [found.reference.log_probs]
            order[:] = batch["row_id"].tolist()
        return found

    order: list[int] = []
    run.compared.attach = attach  # type: ignore[method-assign]
    run.train()
    with torch.no_grad():
        said = []
        for row in (run.forget_dataset[number] for number in order):
            logits = model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0, :-1].float()
            said.append(logits[torch.tensor(row["labels"][1:]) != -100].log_softmax(-1))
    torch.testing.assert_close(kept[0], torch.cat(said), rtol=1e-3, atol=1e-3)


def test_together_it_says_what_it_says_alone(folder: Path, tokenizer: Any) -> None:
    def evaluate(budget: int) -> list[Any]:
        options: dict[str, Any] = {"max_length": 128, "max_new_tokens": 8, "show_progress": False}
        return predict(load_model(folder), tokenizer, [*FORGET, *RETAIN], PLAIN, tokens_per_batch=budget, **options)

    if refusal(NO_EVALUATION, folder, lambda: evaluate(4096)):
        return
    together, alone = evaluate(4096), evaluate(1)
    assert [record["generated"] for record in together] == [record["generated"] for record in alone]
    for one, other in zip(together, alone, strict=True):
        assert one["token_nll"] == pytest.approx(other["token_nll"], rel=1e-3, abs=1e-3)
    model = load_model(folder)
    for row, record in zip(FORGET[:2], together, strict=False):
        assert record["generated"] == without_cache(model, tokenizer, PLAIN.render(row)[0], 8)


def test_what_answers_begin_with_is_computed_once_or_plainly(folder: Path, tokenizer: Any) -> None:
    if folder.name in NO_EVALUATION:
        return
    wrong = tuple(f"Nobody was born {where}." for where in ("in Tarn", "by the sea", "in rain"))
    rows = [replace(row, perturbed_answers=wrong) for row in (*FORGET, *RETAIN)]
    options: dict[str, Any] = {"max_length": 128, "generate": False, "show_progress": False}
    shared, plain = (
        predict(load_model(folder), tokenizer, rows, PLAIN, speed=speed, **options) for speed in ("auto", "off")
    )
    for one, other in zip(shared, plain, strict=True):
        assert one["token_nll"] == pytest.approx(other["token_nll"], rel=1e-3, abs=1e-3)
        for part, own in zip(one["perturbed"], other["perturbed"], strict=True):
            assert part["nll_sum"] == pytest.approx(own["nll_sum"], rel=1e-3, abs=1e-3)


@torch.no_grad()
def without_cache(model: Any, tokenizer: Any, prompt: str, steps: int) -> str:
    start = ids = tokenizer(prompt)["input_ids"]
    for _ in range(steps):
        best = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if best == tokenizer.eos_token_id:
            break
        ids = [*ids, best]
    return str(tokenizer.decode(ids[len(start) :], skip_special_tokens=True)).strip()


def test_an_adapter_of_all_linear_layers(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    def adapted() -> Any:
        config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
        return add_adapter(load_model(folder), config, seed=0)

    if folder.name in NO_TRAINING or refusal(NO_ADAPTER, folder, adapted):
        return
    run = trainer(adapted(), tokenizer, tmp_path / "run", max_steps=2, learning_rate=0.1)
    run.train()
    run.save_to(tmp_path / "adapter", tokenizer)
    ids = torch.tensor([tokenizer("Where was Orla Vennick born?")["input_ids"]])
    with torch.no_grad():
        before = load_model(folder)(input_ids=ids, use_cache=False).logits
        trained = run.model.eval()(input_ids=ids, use_cache=False).logits
        read = load_model(tmp_path / "adapter")(input_ids=ids, use_cache=False).logits
    assert not torch.equal(trained, before)
    torch.testing.assert_close(read, trained, rtol=1e-4, atol=1e-4)


def test_a_resumed_run_is_the_uninterrupted_one(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    if folder.name in NO_TRAINING:
        return
    options: dict[str, Any] = {
        "max_steps": 4, "optim": "adamw_torch", "save_strategy": "steps", "save_steps": 2,
        "save_total_limit": 5, "learning_rate": "auto",
    }  # fmt: skip
    whole = trainer(load_model(folder), tokenizer, tmp_path, **options)
    whole.train()
    shutil.rmtree(checkpoint_folder(tmp_path, 4))
    resumed = trainer(load_model(folder), tokenizer, tmp_path, **options)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path, 2)))
    expected, found = weights(whole.model), weights(resumed.model)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    whole.save_to(tmp_path / "saved", tokenizer)
    saved = weights(load_model(tmp_path / "saved"))
    assert all(torch.equal(saved[name], expected[name]) for name in expected)
