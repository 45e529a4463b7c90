"""The step of two gradients: against an independent autograd reference, and what surrounds it."""

import copy
import math
import re
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, TrainerCallback

from ngdiff.data import AnswerCollator
from ngdiff.errors import InputError
from ngdiff.modeling import save_model, train_tokenizer
from ngdiff.training import UnlearnConfig, UnlearnTrainer, mean_loss
from ngdiff.weighting import Weights

from .runs import CHECKPOINTING, Grab, flat, steps

collate = AnswerCollator(0)


def reference_gradient(model, rows) -> tuple[float, list[torch.Tensor]]:
    """Token mean over all rows, one row at a time, one `torch.autograd.grad`."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        batch = collate([row])
        logits = model(input_ids=batch["input_ids"]).logits[0, :-1]
        for position, label in enumerate(batch["labels"][0, 1:].tolist()):
            if label != -100:
                total = total - logits[position].double().log_softmax(-1)[label]
                count += 1
    loss = total / count
    return loss.item(), list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(("batch", "accumulation"), [(4, 1), (1, 4), (2, 2)])
@pytest.mark.parametrize("forget", [12, 3])  # 3: fewer forget rows than the batch holds
def test_the_combined_gradient_equals_an_autograd_reference(make_trainer, batch, accumulation, forget):
    grab = Grab()
    trainer = make_trainer(
        forget=forget,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        learning_rate=1e-3,
        callbacks=[grab],
    )
    # Rotary embeddings and norms of the architecture compute in fp32 whatever the weights' type: the reference
    # differs from fp64 by that alone.
    trainer.model.double()
    model = copy.deepcopy(trainer.model)
    pairs = list(trainer.sampler)[: batch * accumulation]
    trainer.train()
    loss_r, g_r = reference_gradient(model, [trainer.retain_dataset[pair.retain] for pair in pairs])
    loss_f, g_f = reference_gradient(
        model, [trainer.forget_dataset[pair.forget] for pair in pairs if pair.forget is not None]
    )
    norm_r, norm_f = (math.sqrt(sum(float((g**2).sum()) for g in gs)) for gs in (g_r, g_f))
    for (name, _), r, f in zip(model.named_parameters(), g_r, g_f, strict=True):
        torch.testing.assert_close(grab.gradients[0][name], r / norm_r - f / norm_f, rtol=0, atol=2e-7)
    (log,) = steps(trainer)
    assert log["loss_retain"] == pytest.approx(loss_r, rel=1e-6)
    assert log["loss_forget"] == pytest.approx(loss_f, rel=1e-6)
    assert log["norm_retain"] == pytest.approx(norm_r, rel=1e-6)
    assert log["norm_forget"] == pytest.approx(norm_f, rel=1e-6)
    dot = sum(float((r * f).sum()) for r, f in zip(g_r, g_f, strict=True))
    assert log["cosine"] == pytest.approx(dot / norm_r / norm_f, abs=1e-6)


# Under AutoLR one epoch: from one probe to the next, rounding grows with the curvature of a random model.
@pytest.mark.parametrize(("learning_rate", "epochs"), [("1e-2", 3), ("auto", 1)])
def test_accumulation_changes_nothing(make_trainer, tiny_model, learning_rate, epochs):
    weights, rates, start = [], [], flat(tiny_model())
    for batch, accumulation in [(4, 1), (1, 4)]:
        trainer = make_trainer(
            forget=10,  # leaves a last step with two forget rows
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            num_train_epochs=epochs,
            learning_rate=learning_rate,
            autolr_interval=2,
            optim="sgd",
        )
        trainer.train()
        assert trainer.state.global_step == 3 * epochs
        weights.append(flat(trainer.model))
        rates.append([row["learning_rate"] for row in steps(trainer)])
    assert rates[0] == pytest.approx(rates[1], rel=1e-4)
    assert float((weights[0] - weights[1]).norm()) < 1e-3 * float((weights[0] - start).norm())


def test_a_seed_gives_identical_runs(make_trainer):
    runs = []
    for seed in (1, 1, 2):
        trainer = make_trainer(seed=seed, num_train_epochs=2)
        trainer.train()
        runs.append(flat(trainer.model))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize(("forget", "epochs_steps"), [(1, 1), (3, 1), (4, 1), (5, 2)])
def test_small_forget_sets(make_trainer, forget, epochs_steps):
    trainer = make_trainer(forget=forget, num_train_epochs=2)
    before = trainer.mean_loss(trainer.forget_dataset)
    trainer.train()
    assert trainer.state.global_step == 2 * epochs_steps
    assert trainer.mean_loss(trainer.forget_dataset) > before


def test_logs_hold_every_figure_of_a_step(make_trainer):
    trainer = make_trainer(num_train_epochs=4, autolr_interval=5)
    trainer.train()
    logs = steps(trainer)
    assert [row["step"] for row in logs] == list(range(1, 13))
    wanted = {"loss_forget", "loss_retain", "norm_forget", "norm_retain", "cosine", "c_t", "learning_rate"}
    wanted |= {"weight_forget", "weight_retain", "at_ceiling"}
    assert all(wanted <= set(row) for row in logs)
    assert all(type(row[key]) in (float, int) for row in logs for key in wanted)
    probed = [row["step"] for row in logs if "autolr/accepted" in row]
    assert probed == [probe["step"] for probe in trainer.run_state.probes] == [1, 5, 10]
    for probe in trainer.run_state.probes:
        assert logs[probe["step"] - 1]["learning_rate"] == probe["after"]
    first = logs[0]
    assert first["weight_retain"] == pytest.approx(1 / first["norm_retain"])
    assert first["c_t"] == pytest.approx(first["norm_forget"] / (first["norm_forget"] + first["norm_retain"]))


class WatchProbe:
    """Whether weights, gradients and optimizer state are the same before and after the probes."""

    def __init__(self):
        self.trainer, self.checked = None, 0

    def attach(self, trainer):
        self.trainer = trainer

        @contextmanager
        def look(moment):
            if moment != "probe of the learning rate":
                yield
                return
            before = self.snapshot(trainer.bare_optimizer)
            yield
            for old, new in zip(before, self.snapshot(trainer.bare_optimizer), strict=True):
                assert torch.equal(old, new)
            self.checked += 1

        trainer.observe = look

    def snapshot(self, optimizer):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        values = [p.detach() for p in parameters] + [p.grad for p in parameters]
        values += [v for p in parameters for v in optimizer.state.get(p, {}).values() if torch.is_tensor(v)]
        return [v.clone() for v in values]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd"])
def test_an_exact_probe_leaves_no_trace(make_trainer, tiny_model, dtype, optim):
    trainer = make_trainer(
        tiny_model().to(dtype), optim=optim, autolr_interval=2, num_train_epochs=2, autolr_memory="exact"
    )
    watch = WatchProbe()
    watch.attach(trainer)
    trainer.train()
    assert watch.checked == 4  # steps 1, 2, 4, 6


def test_probe_rows_are_those_of_the_next_step(make_trainer):
    trainer = make_trainer(forget=12, retain=400)
    for epoch in (0, 1):
        trainer.sampler.set_epoch(epoch)
        rows = [pair.retain for pair in trainer.sampler]
        for step in (1, 2):  # of three in an epoch
            (batch,) = trainer.prober.fresh_batches(3 * epoch + step)
            expected = collate([trainer.retain_dataset[r] for r in rows[4 * step : 4 * step + 4]])
            assert torch.equal(batch["input_ids"], expected["input_ids"])


@pytest.mark.parametrize("batch", ["fresh", "same"])
def test_both_kinds_of_probe_run(make_trainer, batch):
    trainer = make_trainer(autolr_batch=batch, autolr_interval=2, num_train_epochs=2, gradient_accumulation_steps=2)
    trainer.train()
    assert len(trainer.run_state.probes) == 3
    last = trainer.run_state.probes[-1]
    # The loss at zero of the step's own rows is known from the step.
    assert last["forwards"] == 2 * len(last["fits"]) + (batch == "fresh")


def test_same_batch_probe_starts_from_the_loss_of_the_step(make_trainer):
    trainer = make_trainer(autolr_batch="same", gradient_accumulation_steps=2, per_device_train_batch_size=2)
    trainer.train()
    fit = trainer.run_state.probes[0]["fits"][0]
    assert fit["here"] == pytest.approx(steps(trainer)[0]["loss_retain"], rel=1e-6)


def test_above_the_ceiling_the_forget_gradient_rests(make_trainer):
    trainer = make_trainer(forget_ceiling="0.5", learning_rate=1e-3)  # an untrained model is above it at once
    trainer.train()
    for row in steps(trainer):
        assert (row["at_ceiling"], row["weight_forget"], row["c_t"]) == (1.0, 0.0, 1.0)


def test_ga_at_its_ceiling_moves_nothing(make_trainer, caplog):
    trainer = make_trainer(method="ga", forget_ceiling="0.5", learning_rate=1e-1, weight_decay=0.1)
    before = flat(trainer.model)
    trainer.train()
    assert torch.equal(before, flat(trainer.model))
    reason = "the retain gradient has no weight, and the forget loss, 4.92, is at the ceiling of 0.50"
    assert caplog.text.count(f"the weights do not change: {reason}") == 1  # not with each step


def test_ceiling_is_the_loss_of_guessing_unless_said_otherwise(make_trainer, random_rows):
    trainer = make_trainer(forget_ceiling="random")
    trainer.train()
    assert trainer.ceiling == pytest.approx(math.log(64))
    trainer = make_trainer(forget_ceiling="holdout", holdout_dataset=random_rows(5, 9))
    trainer.train()
    assert trainer.ceiling == trainer.run_state.initial_losses["holdout"] > 0
    with pytest.raises(InputError, match="needs --holdout"):
        make_trainer(forget_ceiling="holdout")


@pytest.mark.parametrize("method", ["gdiff", "gd", "ga"])
def test_other_weightings_run_with_and_without_autolr(make_trainer, method):
    for learning_rate in ("1e-3", "auto"):
        trainer = make_trainer(method=method, learning_rate=learning_rate, autolr_interval=2)
        before = flat(trainer.model)
        trainer.train()
        assert not torch.equal(before, flat(trainer.model))
        searched = [probe["step"] for probe in trainer.run_state.probes]
        if learning_rate == "auto":  # the retain loss cannot guide a step that ignores it: no search under ga
            assert searched == ([2] if method == "ga" else [1, 2])


class Poison(TrainerCallback):
    """Puts NaN into the weights after the first step."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        next(model.parameters()).data.fill_(math.nan)


def test_a_loss_that_is_not_a_number_stops_the_run(make_trainer):
    trainer = make_trainer(callbacks=[Poison()], learning_rate=1e-3)
    with pytest.raises(FloatingPointError, match="step 2: the loss of the retain set is nan"):
        trainer.train()
    assert trainer.state.global_step == 1


def test_an_overflowing_gradient_stops_before_the_optimizer_moves(make_trainer):
    trainer = make_trainer(learning_rate=1e-3)
    parameter = next(trainer.model.parameters())
    parameter.register_hook(lambda g: g * math.inf)
    before = flat(trainer.model)
    with pytest.raises(FloatingPointError, match=r"step 1: the squared gradient norm of the retain set is (nan|inf)"):
        trainer.train()
    assert torch.equal(before, flat(trainer.model))


def test_nonlinear_optimizers_are_refused_under_autolr_only(make_trainer, tiny_model):
    for learning_rate in ("auto", "1e-3"):
        model = tiny_model()
        rprop = torch.optim.Rprop(model.parameters(), lr=1e-3)
        trainer = make_trainer(model, optimizers=(rprop, None), learning_rate=learning_rate)
        if learning_rate == "auto":
            with pytest.raises(InputError, match="Rprop cannot be used with AutoLR"):
                trainer.train()
        else:
            trainer.train()


def test_clipping_is_off_unless_asked_for(make_trainer):
    lengths = {}
    for clip in (0.0, 0.5):
        grab = Grab()
        make_trainer(callbacks=[grab], max_grad_norm=clip, learning_rate=1e-4, max_steps=1).train()
        lengths[clip] = math.sqrt(sum(float((g**2).sum()) for g in grab.gradients[0].values()))
    assert lengths[0.0] > 1.0
    assert lengths[0.5] == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"gradient_buffers": 1}, {"max_grad_norm": 1e-3}, {"method": "gdiff"}])
def test_the_logged_norm_is_that_of_the_combined_gradient(make_trainer, options):
    grab = Grab()
    trainer = make_trainer(callbacks=[grab], learning_rate=1e-4, max_steps=3, logging_steps=1, **options)
    trainer.train()
    norms = [math.sqrt(sum(float((g**2).sum()) for g in found.values())) for found in grab.gradients]
    logged = [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]
    if "max_grad_norm" in options:  # logged before it is clipped
        assert norms == pytest.approx([1e-3] * 3, rel=1e-3)
        assert min(logged) > 1e-2
    else:
        assert logged == pytest.approx(norms, rel=1e-5)


def test_dropout_is_off_in_both_passes_and_back_afterwards(make_trainer):
    config = GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=1, n_head=2, resid_pdrop=0.5, embd_pdrop=0.5)
    losses = []
    for disable in (True, True, False):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        trainer = make_trainer(model, disable_dropout=disable, learning_rate=1e-3, max_steps=1)
        torch.manual_seed(len(losses))
        trainer.train()
        losses.append(steps(trainer)[0]["loss_retain"])
        assert model.transformer.drop.p == 0.5
    quiet = losses[0]
    assert losses[1] == quiet
    assert losses[2] != quiet


def test_only_the_adapter_is_trained(make_trainer, tmp_path):
    from peft import LoraConfig

    adapter = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    # Without the search: a random model knows no retain row, and an adapter moved to infinity is as good as any.
    options = {"learning_rate": "auto:0.01", "autolr_search": False, "autolr_interval": 2}
    trainer = make_trainer(peft_config=adapter, num_train_epochs=2, **options)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.train()
    changed = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert changed
    assert all("lora_" in name for name in changed)
    trainer.save_model()
    assert (tmp_path / "run" / "adapter_model.safetensors").exists()


def test_evaluation_during_training(make_trainer):
    trainer = make_trainer(num_train_epochs=2, eval_strategy="epoch")
    trainer.train()
    logs = trainer.state.log_history
    assert len([row for row in logs if "eval_forget_loss" in row]) == 2
    last = [row["eval_retain_loss"] for row in logs if "eval_retain_loss" in row][-1]
    assert last == pytest.approx(trainer.mean_loss(trainer.retain_dataset), rel=0.1)  # a mean of batch means


def test_mean_loss_is_a_mean_over_tokens(make_trainer):
    trainer = make_trainer()
    expected, _ = reference_gradient(trainer.model, trainer.retain_dataset)
    for size in (1, 3, 8):
        trainer.args.per_device_eval_batch_size = size
        assert trainer.mean_loss(trainer.retain_dataset) == pytest.approx(expected, rel=1e-6)


def test_a_model_that_knows_nothing_is_pointed_out(make_trainer, caplog):
    make_trainer(max_steps=1).train()
    assert re.search(r"hardly knows the forget rows: \d\.\d\d nats per token, \d+ % mean probability", caplog.text)


def test_a_run_that_ends_long_before_its_ceiling_says_so(make_trainer, caplog):
    make_trainer(forget_ceiling="20", learning_rate=1e-4).train()
    assert re.search(r"reached 4\.\d\d of a ceiling of 20\.00 in 3 steps.*--num-train-epochs", caplog.text)
    caplog.clear()
    make_trainer(forget_ceiling="5", learning_rate=1e-4).train()
    assert "of a ceiling" not in caplog.text


def test_a_ceiling_below_the_start_is_pointed_out(make_trainer, caplog):
    make_trainer(forget_ceiling="0.5", learning_rate=1e-4).train()
    assert "is at the ceiling of 0.500 from the start: nothing would be forgotten" in caplog.text


def test_log_lines_of_several_steps_hold_means_and_every_probe(make_trainer):
    every = make_trainer(num_train_epochs=4, autolr_interval=5)
    every.train()
    third = make_trainer(num_train_epochs=4, autolr_interval=5, logging_steps=3)
    third.train()
    single = steps(every)
    for index, row in enumerate(steps(third)):
        part = single[3 * index : 3 * index + 3]
        assert row["loss_forget"] == pytest.approx(sum(r["loss_forget"] for r in part) / 3)
        assert row["learning_rate"] == part[-1]["learning_rate"]
        assert ("autolr/accepted" in row) == any("autolr/accepted" in r for r in part)


def test_float16_weights_are_refused(make_trainer, tiny_model):
    with pytest.raises(InputError, match="weights are float16, in which training destroys them"):
        make_trainer(tiny_model().half())


def test_rows_in_both_sets_are_refused(tmp_path, tiny_model):
    rows = [{"question": f"q{i}?", "answer": f"a{i}"} for i in range(6)]
    tokenizer = train_tokenizer(["q0? a1 q2?"], vocab_size=300)
    args = UnlearnConfig(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(InputError, match="--drop-overlap"):
        UnlearnTrainer(tiny_model(), args, rows[:2], rows[1:], processing_class=tokenizer)


def test_a_model_given_by_name_is_trained_in_float32(tmp_path, tiny_model, random_rows):
    tokenizer = train_tokenizer(["some words"], vocab_size=300)
    save_model(tiny_model(vocab_size=300).to(torch.bfloat16), tokenizer, tmp_path / "model")
    args = UnlearnConfig(output_dir=str(tmp_path / "run"), use_cpu=True)
    for name in (tmp_path / "model", str(tmp_path / "model")):
        trainer = UnlearnTrainer(name, args, random_rows(2, 1), random_rows(2, 2))
        assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_initial_losses_are_kept(make_trainer):
    trainer = make_trainer(max_steps=1, speed="off")
    before = trainer.mean_loss(trainer.forget_dataset)
    trainer.train()
    assert trainer.run_state.initial_losses["forget"] == before


@pytest.mark.parametrize("disabled", [False, True])
def test_a_bar_counts_the_batches_of_first_losses(disabled, make_trainer, monkeypatch):
    bars = []

    def noted(batches, description, *, total, shown, unit):
        bars.append((description, total == len(batches), shown, unit))
        return batches

    monkeypatch.setattr(mean_loss, "with_bar", noted)
    make_trainer(max_steps=1, speed="off", disable_tqdm=disabled).losses()
    assert bars == [(f"loss of {side} rows", True, not disabled, "batch") for side in ("forget", "retain")]


@pytest.mark.parametrize("side", ["forget", "retain"])
def test_empty_sets_are_refused(make_trainer, side):
    with pytest.raises(InputError, match=f"--{side}: no rows"):
        make_trainer(**{side: []})


def test_rows_of_text_need_a_tokenizer(make_trainer):
    with pytest.raises(InputError, match="--forget: rows of text need a tokenizer"):
        make_trainer(forget=[{"question": "q", "answer": "a"}])


def test_max_length_beyond_the_context_is_refused(make_trainer):
    with pytest.raises(InputError, match="--max-length 65 is beyond the model's context of 64 tokens"):
        make_trainer(max_length=65)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({CHECKPOINTING: True}, 1e-6),
        ({"dataloader_num_workers": 1}, 0.0),
        ({"bf16": True}, 3e-2),  # three digits of a loss near 4.6
        ({"eval_strategy": "steps", "eval_steps": 1}, 0.0),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_inherited_options_change_nothing_but_precision(make_trainer, options, tolerance):
    losses = []
    for extra in ({}, options):
        trainer = make_trainer(learning_rate=1e-3, optim="sgd", **extra)
        trainer.train()
        losses.append([row[key] for row in steps(trainer) for key in ("loss_forget", "loss_retain", "cosine")])
    assert losses[0] == pytest.approx(losses[1], abs=tolerance)


def test_it_is_a_transformers_trainer():
    from transformers import Trainer

    assert issubclass(UnlearnTrainer, Trainer)


class PositionCentred(LlamaForCausalLM):
    """A model whose logits depend on those before them: they cannot be computed for some positions alone."""

    def forward(self, **inputs):
        output = super().forward(**inputs)
        places = torch.arange(1, output.logits.shape[1] + 1)[:, None]
        output.logits = output.logits - output.logits.cumsum(1) / places
        return output


@pytest.mark.parametrize("kind", [LlamaForCausalLM, PositionCentred])
def test_where_a_cut_would_change_the_losses_all_logits_are_computed(kind, make_trainer, tiny_model, caplog):
    model = kind(tiny_model().config)
    model.load_state_dict(tiny_model().state_dict())
    shapes = []
    trainer = make_trainer(model, learning_rate=1e-3, max_steps=1)
    model.lm_head.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[:2])))
    trainer.train()
    batch = collate([trainer.forget_dataset[i] for i in range(4)])
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    labels = batch["labels"][:, 1:].reshape(-1)
    expected = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels)
    rows = [trainer.forget_dataset[i] for i in range(4)]
    assert trainer.mean_loss(rows) == pytest.approx(float(expected), rel=1e-5)
    assert ("logits of all tokens are computed" in caplog.text) == (kind is PositionCentred)
    assert (shapes[-3][0] == 1) == (kind is LlamaForCausalLM)  # the last pass of the step: one row of answers, or four


@pytest.mark.parametrize("memory", ["auto", "exact"])
def test_both_sides_at_rest_from_the_first_step(make_trainer, caplog, memory):
    """The gradient of a KL to itself is rounding noise, and the forget loss is at its ceiling."""
    trainer = make_trainer(retain_objective="kl", forget_ceiling="0.5", autolr_memory=memory, autolr_interval=2)
    before = flat(trainer.model)
    trainer.train()
    assert torch.equal(before, flat(trainer.model))
    reason = "the retain objective is at its minimum, where its gradient is rounding noise, and the forget loss, "
    assert caplog.text.count(f"Step 1: the weights do not change: {reason}") == 1
    assert [probe["reason"] for probe in trainer.run_state.probes] == ["step of length 0"] * 3  # it still searches
    assert all(row["learning_rate"] == 1e-4 for row in trainer.state.log_history if "learning_rate" in row)


def test_the_search_waits_for_a_step_with_a_direction(make_trainer, monkeypatch):
    trainer = make_trainer(num_train_epochs=2)
    weigh = trainer.weigher.weigh

    def rests_twice(*args, step, **options):
        found = weigh(*args, step=step, **options)
        return replace(found, weights=Weights(0.0, 0.0)) if step < 3 else found

    monkeypatch.setattr(trainer.weigher, "weigh", rests_twice)
    trainer.train()
    assert [(probe["step"], bool(probe["fits"])) for probe in trainer.run_state.probes] == [
        (1, False),
        (2, False),
        (3, True),
    ]


def test_what_is_no_number_is_null_in_the_log(make_trainer):
    trainer = make_trainer()
    trainer.log({"loss": 1.0, "grad_norm": math.inf, "learning_rate": math.nan})
    logged = trainer.state.log_history[-1]
    assert (logged["loss"], logged["grad_norm"], logged["learning_rate"]) == (1.0, None, None)


@pytest.mark.parametrize("rate", ["auto:1e-300", "auto:1e300", "auto:5e-324", "1e300", "1e-40"])
def test_rates_that_no_weight_can_hold_are_refused(make_trainer, rate):
    with pytest.raises(InputError, match=rf"--learning-rate {rate} is not from 1e-30 to 1e\+30"):
        make_trainer(learning_rate=rate)


@pytest.mark.parametrize("rate", ["auto:1e-30", "auto:1e30"])
def test_a_search_from_anywhere_stays_within_the_length_of_the_weights(make_trainer, rate):
    trainer = make_trainer(max_steps=1, learning_rate=rate)
    length = flat(trainer.model).norm()
    trainer.train()
    (probe,) = trainer.run_state.probes
    assert 5e-7 < probe["after"] * probe["relative_step"] <= 1.0
    assert flat(trainer.model).norm() <= 2 * length
