"""Whole runs with `packing` and with `fused_loss`: the same steps as without, or a warning and the plain path."""

import logging
import sys
import types

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, FalconConfig, FalconForCausalLM

from ngdiff.errors import InputError
from ngdiff.modeling import train_tokenizer
from ngdiff.objectives import FORGET_OBJECTIVES
from ngdiff.speed.cpu.row_attention import attention_of
from ngdiff.tasks import ImageTask

from .image_cases import PREPARATION, classifier
from .runs import CHECKPOINTING, FIXED, flat, inputs_of, same_run, steps


@pytest.fixture
def text(tiny_model):
    """Rows of text, a tokenizer, and a model for it."""
    forget = [{"question": f"who is {name}?", "answer": f"{name} is a baker"} for name in ("ann", "bob", "cy", "dot")]
    retain = [{"question": f"what is {n}?", "answer": f"{n} is a number of {n} ones"} for n in range(8)]
    tokenizer = train_tokenizer([row[key] for row in (*forget, *retain) for key in row], vocab_size=300)
    return {
        "forget": forget,
        "retain": retain,
        "processing_class": tokenizer,
        "model": lambda: tiny_model(vocab_size=len(tokenizer), max_position_embeddings=128),
    }


@pytest.mark.parametrize(
    ("objective", "retain_objective"), [*((name, "ce") for name in FORGET_OBJECTIVES), ("ce", "kl")]
)
def test_packed_runs_are_those_with_padding(
    make_trainer, tiny_model, base_model, random_rows, text, objective, retain_objective
):
    rows = text if "alternate" in FORGET_OBJECTIVES[objective].needs else {"model": tiny_model, "forget": 10}
    if FORGET_OBJECTIVES[objective].ends:
        rows |= {"base_model": base_model(), "holdout_dataset": random_rows(6, 5)}
    trainers = []
    for packing in ("off", "on"):
        trainer = make_trainer(
            **{**rows, "model": rows["model"]()},
            **FIXED,
            method=f"{objective}+gdiff",
            retain_objective=retain_objective,
            gradient_accumulation_steps=2,
            per_device_train_batch_size=2,
            packing=packing,
        )
        start = flat(trainer.model)
        trainer.train()
        trainers.append(trainer)
    same_run(*trainers, start, 1e-4)


def test_packed_probes_are_those_with_padding(make_trainer, tiny_model):
    trainers = []
    for packing in ("off", "on"):
        # No search: on a random model it goes to the edge of stability, where rounding grows with every step.
        options = {"optim": "sgd", "learning_rate": "auto:1e-2", "autolr_search": False, "autolr_interval": 2}
        trainer = make_trainer(**options, num_train_epochs=2, packing=packing)
        start = flat(trainer.model)
        trainer.train()
        trainers.append(trainer)
    same_run(*trainers, start, 1e-3)
    probed = [[row["learning_rate"] for row in steps(trainer)] for trainer in trainers]
    assert probed[1] == pytest.approx(probed[0], rel=1e-3)


@pytest.mark.parametrize("method", ["ngdiff", "npo+ngdiff", "ga+klr"])
def test_every_pass_behind_the_check_is_packed(make_trainer, tiny_model, method):
    """References, first losses, both sides of a step, probes."""
    trainer = make_trainer(method=method, packing="on", autolr_interval=2)
    check, seen = trainer.task.check_forward, inputs_of(trainer.model)

    def checked(model, batch):
        check(model, batch)
        seen.clear()

    trainer.task.check_forward = checked
    trainer.train()
    assert len(seen) > 2 * 3
    assert all(len(inputs["input_ids"]) == 1 and "attention_mask" not in inputs for inputs in seen)


def bloom() -> BloomForCausalLM:
    torch.manual_seed(0)
    config = BloomConfig(
        vocab_size=64, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    return BloomForCausalLM(config)


def test_a_model_that_lets_rows_see_each_other_keeps_the_padding(make_trainer, caplog):
    trainers = []
    for packing in ("off", "on"):
        trainer = make_trainer(bloom(), **FIXED, max_steps=2, packing=packing)
        trainer.train()
        trainers.append(trainer)
    assert torch.equal(flat(trainers[0].model), flat(trainers[1].model))
    (warning,) = [r.getMessage() for r in caplog.records if "packing" in r.getMessage()]
    assert warning.startswith("--packing on: the rows are padded, as packing would change what this model says")


def test_nothing_is_packed_before_the_check(make_trainer):
    trainer = make_trainer(bloom(), packing="on")
    before = trainer.mean_loss(trainer.forget_dataset)
    assert before == make_trainer(bloom()).mean_loss(trainer.forget_dataset)


@pytest.mark.parametrize("objective", ["ce", "npo"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_by_itself_a_run_on_a_cpu_is_packed_and_attends_by_rows(make_trainer, tiny_model, objective, checkpointing):
    model = tiny_model()
    seen = inputs_of(model)
    make_trainer(model, **FIXED, method=f"{objective}+gdiff", **{CHECKPOINTING: checkpointing}).train()
    assert attention_of(model) == "sdpa", "only while it trains"
    assert all("attention_mask" not in inputs and "row_blocks" in inputs for inputs in seen[-6:])


@pytest.mark.parametrize("model", [bloom, lambda: tiny_falcon()], ids=["bloom", "falcon"])
def test_by_itself_a_model_that_cannot_be_packed_is_padded_without_a_warning(make_trainer, caplog, model):
    trainers = []
    for packing in ("off", "auto"):
        trainer = make_trainer(model(), **FIXED, max_steps=2, packing=packing)
        trainer.train()
        trainers.append(trainer)
    assert torch.equal(flat(trainers[0].model), flat(trainers[1].model))
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert not [warning for warning in warnings if "packing" in warning]


def tiny_falcon() -> FalconForCausalLM:
    """Made for sdpa, but with attention of its own; ALiBi."""
    torch.manual_seed(0)
    config = FalconConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    return FalconForCausalLM(config)


@pytest.mark.parametrize(("given", "word"), [(True, "on"), (False, "off"), ("yes", "on"), ("no", "off"), ("on", "on")])
def test_truth_values_of_yaml_are_words(make_trainer, given, word):
    assert make_trainer(packing=given).args.packing == word


def test_a_row_without_tokens_is_refused_before_the_run(make_trainer):
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [], "labels": []}]
    with pytest.raises(InputError, match=r"--forget: encoded row 1 \(from 0\) has no tokens: its input_ids are empty"):
        make_trainer(forget=rows)


def test_an_unknown_word_is_refused(make_trainer):
    with pytest.raises(InputError, match="--packing sometimes is not known; one of auto, on, off"):
        make_trainer(packing="sometimes")


def test_one_row_to_forget(make_trainer, caplog):
    """The check has but that row, and must find a model that lets rows see each other all the same."""
    make_trainer(bloom(), forget=1, packing="on", **FIXED).train()
    assert "--packing on: the rows are padded" in caplog.text


# ---- token losses without logits -----------------------------------------------------------------------------------


@pytest.fixture
def cce(monkeypatch) -> list[tuple[int, torch.dtype]]:
    """A stand-in for cut-cross-entropy; number of tokens and precision of every call."""
    calls = []

    def linear_cross_entropy(e, c, targets, softcap=None, **options):
        assert e.dtype == c.dtype
        calls.append((len(targets), e.dtype))
        assert softcap is None
        return torch.nn.functional.cross_entropy((e @ c.T).float(), targets, reduction=options["reduction"])

    module = types.ModuleType("cut_cross_entropy")
    module.linear_cross_entropy = linear_cross_entropy
    monkeypatch.setitem(sys.modules, "cut_cross_entropy", module)
    return calls


@pytest.mark.parametrize("method", ["ngdiff", "npo+ngdiff"])
def test_runs_with_a_fused_loss_are_those_with_logits(make_trainer, cce, method):
    trainers = []
    for fused_loss in ("none", "cce"):
        # 5 rows in micro-batches of 1: the last step has micro-batches from which nothing is learned.
        options = {"forget": 5, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
        trainer = make_trainer(**FIXED, **options, method=method, fused_loss=fused_loss)
        start = flat(trainer.model)
        trainer.train()
        trainers.append(trainer)
    same_run(*trainers, start, 1e-4)
    assert cce
    assert all(tokens > 0 for tokens, _ in cce)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=["autocast", "bf16 weights"])
def test_half_precision_is_not_taken_for_a_difference(make_trainer, tiny_model, cce, caplog, weights):
    trainer = make_trainer(
        tiny_model().to(weights), bf16=weights == torch.float32, packing="on", fused_loss="cce", **FIXED
    )
    check, seen = trainer.task.check_forward, inputs_of(trainer.model)

    def checked(model, batch):
        check(model, batch)
        seen.clear()

    trainer.task.check_forward = checked
    trainer.train()
    assert "--packing" not in caplog.text
    assert "--fused-loss" not in caplog.text
    assert all("attention_mask" not in inputs for inputs in seen)
    assert {dtype for _, dtype in cce} == {torch.bfloat16}


def test_objectives_with_logits_take_the_plain_path(make_trainer, cce, caplog):
    with caplog.at_level(logging.INFO, logger="ngdiff"):
        trainer = make_trainer(method="ceu+gdr", fused_loss="cce", **FIXED)
        trainer.train()
    assert "--fused-loss cce: the forget objective needs logits, and computes them." in caplog.text
    assert "the retain objective" not in caplog.text
    assert len(cce) > 3  # the retain side of three steps


def test_a_fused_loss_that_differs_is_not_used(make_trainer, cce, monkeypatch, caplog):
    wrong = sys.modules["cut_cross_entropy"].linear_cross_entropy
    monkeypatch.setattr(sys.modules["cut_cross_entropy"], "linear_cross_entropy", lambda *a, **k: 1.1 * wrong(*a, **k))
    make_trainer(fused_loss="cce", **FIXED).train()
    assert "--fused-loss cce is not used: with this model a loss differs by" in caplog.text
    assert len(cce) == 1


def test_liger_on_cpu_is_refused(make_trainer, monkeypatch):
    functional = types.ModuleType("liger_kernel.transformers.functional")
    functional.liger_fused_linear_cross_entropy = lambda *args, **options: None
    for name in ("liger_kernel", "liger_kernel.transformers"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, functional.__name__, functional)
    with pytest.raises(InputError, match="--fused-loss liger runs on GPUs only; on CPU use none or cce"):
        make_trainer(fused_loss="liger")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packing": "on"}, "--packing is for language models; an image classifier does not have it"),
        ({"fused_loss": "cce"}, "--fused-loss is for language models; an image classifier does not have it"),
    ],
    ids=str,
)
def test_images_have_neither(options, message, tmp_path, cce):
    from ngdiff.training import UnlearnConfig

    args = UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, report_to=[], **options)
    with pytest.raises(InputError, match=message):
        ImageTask(classifier(), PREPARATION).prepare(args.run_settings())
