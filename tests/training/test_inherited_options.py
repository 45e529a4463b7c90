"""Every option that is inherited from transformers works, is refused, or is said to change nothing."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.integrations import integration_utils
from transformers.utils import logging

from ngdiff.checkpoint_places import checkpoints_of
from ngdiff.data import fictional_people, read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.modeling import build_image_model, build_model, train_tokenizer
from ngdiff.training import UnlearnConfig
from ngdiff.training.finetune import FinetuneConfig, finetune
from ngdiff.training.finetune_images import ImageFinetuneConfig, finetune_images
from ngdiff.training.inherited_options import INHERITED, NEEDS

from .image_cases import NAMES, PREPARATION, classifier, images

FIELDS = {field.name: field for field in dataclasses.fields(TrainingArguments)}
CONFIGS = {"unlearn": UnlearnConfig, "finetune": FinetuneConfig, "finetune --task image": ImageFinetuneConfig}
ROWS = read_rows(fictional_people(2))
TOKENIZER = train_tokenizer([text for row in ROWS for text in (row.prompt, row.answer)], vocab_size=512)
TEMPLATE = resolve_template("auto", TOKENIZER, ROWS)


HERE = "training/test_inherited_options.py::"
# Options that work, held by a test that says more of them than the weights at the end.
ELSEWHERE = {
    "output_dir": "end_to_end/test_unlearn.py::test_the_output_is_a_model",
    "tf32": HERE + "test_tf32_is_refused_on_a_cpu",
    "torch_compile_mode": HERE + "test_modes_of_the_compiler_arrive",
    **dict.fromkeys(
        ["gradient_checkpointing", "gradient_checkpointing_kwargs"], HERE + "test_the_old_names_of_checkpointing"
    ),
    "logging_steps": HERE + "test_log_lines",
    **dict.fromkeys(["log_level_replica", "log_on_each_node", "disable_tqdm"], HERE + "test_who_logs"),
    **dict.fromkeys(
        ["report_to", "run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"],
        HERE + "test_trackers_get_their_options",
    ),
    **dict.fromkeys(["save_strategy", "save_steps", "save_total_limit"], HERE + "test_checkpoints"),
    **dict.fromkeys(["eval_strategy", "eval_steps", "eval_delay", "eval_on_start"], HERE + "test_evaluations"),
    **dict.fromkeys(
        ["load_best_model_at_end", "metric_for_best_model", "greater_is_better"], HERE + "test_the_best_model"
    ),
    **dict.fromkeys(
        [
            *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers"),
            *("ddp_backend", "ddp_timeout"),
        ],
        "distributed/test_ddp.py::test_two_processes_equal_one_with_the_double_batch",
    ),
    **dict.fromkeys(["fsdp", "fsdp_config"], "distributed/test_fsdp.py::test_sharded_weights_walk_as_whole_ones"),
}

# ---- the tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", INHERITED)
def test_every_field_is_in_exactly_one_table(run):
    table = INHERITED[run]
    tables = [set(table.works), set(table.refused), set(table.irrelevant)]
    for name in FIELDS:
        assert sum(name in one for one in tables) == 1, f"{name}: put it into one table of inherited_options.py"


@pytest.mark.parametrize("run", INHERITED)
def test_every_option_that_works_has_a_test(run):
    tested = {
        *(name for one, name, _, _ in CHANGES if one == run),
        *(name for one, name, *_ in QUIET if one == run),
        *ELSEWHERE,
    }
    assert set(INHERITED[run].works) & FIELDS.keys() <= tested


def test_tests_elsewhere_exist():
    root = Path(__file__).parents[1]
    for option, place in ELSEWHERE.items():
        file, _, test = place.partition("::")
        text = (root / file).read_text(encoding="utf-8")
        assert f"def {test}(" in text, (option, place)


def test_the_documentation_names_every_option():
    text = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    for table in INHERITED.values():
        for name in (*table.works, *table.refused, *table.irrelevant):
            assert f"| `--{name.replace('_', '-')}` |" in text, name
        for reason in (*table.refused.values(), *table.irrelevant.values()):
            assert reason in text


def other_value(name):
    """A value that is not the default."""
    default = FIELDS[name].default
    special = {
        "hub_strategy": "end",
        "activation_checkpointing_kwargs": {"use_reentrant": False},
        "accelerator_config": {"split_batches": True},
        "debug": "underflow_overflow",
        "include_for_metrics": ["loss"],
        "label_names": ["y"],
        "average_tokens_across_devices": False,
        "dataloader_in_order": False,
        "eval_strategy": "epoch",
        "length_column_name": "size",
        "local_rank": 0,
        "logging_nan_inf_filter": True,
        "remove_unused_columns": False,
        "fsdp": True,
        "deepspeed": "d.json",
        "label_smoothing_factor": 0.1,
        "hub_token": "hf_secret",
        "greater_is_better": True,
    }
    if name in special:
        return special[name]
    return (not default) if isinstance(default, bool) else 7 if isinstance(default, int | float) else "1"


REFUSED = [(run, name) for run, table in INHERITED.items() for name in sorted(table.refused) if name in FIELDS]


@pytest.mark.parametrize(("run", "name"), REFUSED)
def test_what_is_refused_is_refused_with_its_reason(run, name, tmp_path):
    with pytest.raises(InputError) as caught:
        CONFIGS[run](output_dir=str(tmp_path), use_cpu=True, **{name: other_value(name)})
    assert str(caught.value).startswith(f"--{name.replace('_', '-')}")
    assert INHERITED[run].refused[name] in str(caught.value)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(INHERITED["unlearn"].irrelevant))
def test_what_changes_nothing_is_said_to(name, tmp_path, caplog):
    UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, **{name: other_value(name)})
    assert f"--{name.replace('_', '-')} changes nothing: " in caplog.text


@pytest.mark.parametrize("name", [name for name in NEEDS if name in FIELDS])
def test_what_changes_nothing_without_another_option_is_refused(name, tmp_path):
    value = {"metric_for_best_model": "retain_loss", "logging_steps": 3, "eval_steps": 3, "save_steps": 3}
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} .* changes nothing without.*: add --"):
        UnlearnConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            logging_strategy="epoch",
            **{name: value.get(name, other_value(name))},
        )


@pytest.mark.parametrize(
    ("run", "options", "message"),
    [
        ("unlearn", {"report_to": "tensorboard"}, "--report-to tensorboard: .*tensorboard"),
        ("unlearn", {"report_to": ["wandb"]}, "--report-to wandb: .*pip install wandb"),
        ("finetune", {"report_to": "magic"}, "--report-to magic: magic is not supported"),
        ("unlearn", {"optim": "adamw_8bit"}, "--optim adamw_8bit: .*pip install -U bitsandbytes"),
        ("finetune", {"optim": "grokadamw"}, "--optim grokadamw: .*pip install grokadamw"),
        ("unlearn", {"optim": "galore_adamw"}, "--optim galore_adamw is not supported"),
        ("unlearn", {"optim": "lomo"}, "--optim lomo is not supported: it updates the weights inside"),
        ("unlearn", {"optim_args": "momentum=0.5"}, "--optim-args momentum=0.5 changes nothing with --optim adamw"),
        ("unlearn", {"optim": "sgd", "adam_beta1": 0.5}, "--adam-beta1 0.5 changes nothing with --optim sgd"),
        ("unlearn", {"optimizer": "prodigy", "optim": "sgd"}, "--optim sgd changes nothing with --optimizer prodigy"),
        ("finetune --task image", {"adam_epsilon": 0.5}, "--adam-epsilon 0.5 changes nothing with --optim sgd"),
        ("finetune", {"data_seed": 3}, "--data-seed 3 changes nothing without --train-sampling-strategy random"),
        ("unlearn", {"ddp_backend": "gloo"}, "--ddp-backend gloo needs several processes: torchrun"),
        ("unlearn", {"data_seed": -3}, "--data-seed -3 is not from 0"),
        ("unlearn", {"lr_scheduler_kwargs": {"num_cycles": 2}}, "changes nothing with --lr-scheduler-type constant"),
        (
            "unlearn",
            {"learning_rate": 1e-3, "lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"cycles": 2}},
            "--lr-scheduler-type cosine with --lr-scheduler-kwargs .*unexpected keyword argument 'cycles'",
        ),
        ("unlearn", {"load_best_model_at_end": True}, "needs losses to compare: add --eval-strategy"),
        ("finetune", {"save_strategy": "best"}, "--save-strategy best is not supported: finetune has no rows"),
        (
            "unlearn",
            {"eval_strategy": "epoch", "load_best_model_at_end": True},
            "--load-best-model-at-end needs --metric-for-best-model, such as eval_retain_loss",
        ),
        (
            "unlearn",
            {"eval_strategy": "epoch", "save_strategy": "best", "metric_for_best_model": "forget_loss"},
            "needs --greater-is-better yes or no: .* forgotten least",
        ),
        ("finetune --task image", {"label_smoothing_factor": 1.0}, "--label-smoothing-factor 1 is not from 0 to below"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(run, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        CONFIGS[run](output_dir=str(tmp_path), use_cpu=True, **options)


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("wandb", "WANDB_LOG_MODEL", "checkpoint"),
        ("mlflow", "HF_MLFLOW_LOG_ARTIFACTS", "TRUE"),
        ("clearml", "CLEARML_LOG_MODEL", "1"),
    ],
)
@pytest.mark.parametrize("given", ["NAME", "all", ["NAME"]])
def test_a_tracker_that_is_to_upload_checkpoints(tmp_path, monkeypatch, name, variable, value, given):
    monkeypatch.setenv(variable, value)
    chosen = [name] if isinstance(given, list) else given.replace("NAME", name)
    message = f"^--report-to {name} with {variable}={value}: .* no checkpoint; unset {variable}$"
    with pytest.raises(InputError, match=message):
        UnlearnConfig(output_dir=str(tmp_path), report_to=chosen)
    UnlearnConfig(output_dir=str(tmp_path), report_to="none")


def test_a_metric_that_no_evaluation_has(make_trainer, random_rows):
    options = {"eval_strategy": "epoch", "save_strategy": "best"}
    with pytest.raises(InputError, match="loss is no metric of this run; one of eval_forget_loss, eval_retain_loss"):
        make_trainer(metric_for_best_model="loss", **options)
    make_trainer(metric_for_best_model="loss", eval_dataset=random_rows(2, 0), **options)
    make_trainer(metric_for_best_model="eval_own_loss", eval_dataset={"own": random_rows(2, 0)}, **options)


def test_a_model_that_cannot_recompute(make_trainer, tiny_model, monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(type(model), "supports_gradient_checkpointing", False)
    with pytest.raises(InputError, match="--activation-checkpointing: LlamaForCausalLM cannot"):
        make_trainer(model, activation_checkpointing=True)


def test_filled_in_arguments_can_be_given_again(tmp_path):
    for run, kind in CONFIGS.items():
        args = kind(output_dir=str(tmp_path), use_cpu=True, report_to="none")
        assert dataclasses.replace(args, seed=3).seed == 3, run


# ---- those that work -------------------------------------------------------------------------------------------------


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1).double() for p in model.parameters()])


@pytest.fixture
def end_of(make_trainer, tmp_path):
    """`end_of(run, **options)`: weights after a short run."""

    def go(run, **options):
        common = {"output_dir": str(tmp_path / "out"), "use_cpu": True, "disable_tqdm": True, "report_to": "none"}
        if run == "unlearn":
            rates = {} if "optimizer" in options else {"learning_rate": 1e-2}
            trainer = make_trainer(**{**rates, "num_train_epochs": 2, **options})
            trainer.train()
            return weights(trainer.model)
        if run == "finetune":
            model = build_model("llama-micro", TOKENIZER, seed=0)
            base = {"per_device_train_batch_size": 3, "num_train_epochs": 1, "warmup_steps": 0, "learning_rate": 1e-2}
            finetune(model, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**{**common, **base, **options}))
            return weights(model)
        recomputes = "activation_checkpointing" in options  # residual networks of transformers cannot
        model = build_image_model("vit-tiny", NAMES, (8, 8)) if recomputes else classifier()
        base = {"per_device_train_batch_size": 8, "num_train_epochs": 1, "warmup_steps": 0, "learning_rate": 1e-2}
        finetune_images(model, images(20, 0), PREPARATION, ImageFinetuneConfig(**{**common, **base, **options}))
        return weights(model)

    return go


@pytest.fixture(scope="module")
def known_ends() -> dict[str, torch.Tensor]:
    """Ends of runs that many tests compare with, by run and options."""
    return {}


@pytest.fixture
def usual_end_of(end_of, known_ends):
    """`end_of` for runs that many tests compare with: each is taken once."""

    def go(run, **options):
        key = repr((run, sorted(options.items())))
        if key not in known_ends:
            known_ends[key] = end_of(run, **options)
        return known_ends[key]

    return go


ADAM = {"optim": "adamw_torch"}
COSINE = {"lr_scheduler_type": "cosine_with_restarts"}
# Option -> (its value, the options beside it): the weights at the end are others than without.
CHANGING = {
    "seed": (7, {}),
    "data_seed": (7, {"train_sampling_strategy": "random"}),
    "per_device_train_batch_size": (2, {}),
    "gradient_accumulation_steps": (2, {}),
    "num_train_epochs": (3, {}),
    "max_steps": (1, {}),
    "learning_rate": (1e-3, {}),
    "lr_scheduler_type": ("linear", {}),
    "lr_scheduler_kwargs": ({"num_cycles": 2}, COSINE),
    "warmup_steps": (2, {"lr_scheduler_type": "constant_with_warmup"}),
    "max_grad_norm": (1e-3, {"optim": "sgd"}),
    "optim": ("adafactor", {}),
    "optim_args": ("alpha=0.5", {"optim": "rmsprop"}),
    "weight_decay": (0.3, ADAM),
    "adam_beta1": (0.2, ADAM),
    "adam_beta2": (0.2, ADAM),
    "adam_epsilon": (1e-2, ADAM),
    "bf16": (True, {}),
    "train_sampling_strategy": ("random", {}),
    "dataloader_drop_last": (True, {}),
    "neftune_noise_alpha": (5.0, {}),
    "label_smoothing_factor": (0.3, {}),
}
OF_IMAGES = {"train_sampling_strategy": "sequential"}
CHANGES = [
    (run, name, OF_IMAGES.get(name, value) if "image" in run else value, beside)
    for name, (value, beside) in CHANGING.items()
    for run in INHERITED
    if name in INHERITED[run].works
]


@pytest.mark.parametrize(("run", "name", "value", "beside"), CHANGES)
def test_it_changes_the_run(end_of, usual_end_of, run, name, value, beside):
    assert not torch.equal(end_of(run, **beside, **{name: value}), usual_end_of(run, **beside))


# Option -> (its value, the options beside it): how a run is computed, to the same weights but for rounding.
SAME = {
    "use_cpu": (True, {}),
    "full_determinism": (True, {}),
    "remove_unused_columns": (False, {}),
    "per_device_eval_batch_size": (1, {"eval_strategy": "epoch"}),
    "activation_checkpointing": (True, {}),
    "activation_checkpointing_kwargs": ({"use_reentrant": False}, {"activation_checkpointing": True}),
    "torch_compile": (True, {"torch_compile_backend": "eager"}),
    "torch_compile_backend": ("eager", {}),  # which asks for `torch_compile`, too
    "dataloader_num_workers": (1, {}),
    "dataloader_pin_memory": (False, {}),
    "dataloader_persistent_workers": (True, {"dataloader_num_workers": 1}),
    "dataloader_prefetch_factor": (3, {"dataloader_num_workers": 1}),
    "dataloader_multiprocessing_context": ("fork", {"dataloader_num_workers": 1}),
    "torch_empty_cache_steps": (1, {}),
    "skip_memory_metrics": (False, {}),
    "logging_first_step": (True, {}),
    "logging_strategy": ("no", {"stop_loss": None}),
    "log_level": ("error", {}),
    "include_num_input_tokens_seen": ("all", {}),
    "save_only_model": (True, {"save_strategy": "epoch"}),
    "restore_callback_states_from_checkpoint": (True, {}),
}
QUIET = [
    (run, name, value, beside)
    for name, (value, beside) in SAME.items()
    for run in INHERITED
    if name in INHERITED[run].works
]


# Tracing takes most of their time: by default images stand for all (unlearning: test_speed_in_training.py).
SLOW = {
    ("unlearn", "torch_compile"),
    ("finetune", "torch_compile"),
    *((run, "torch_compile_backend") for run in INHERITED),
}


@pytest.fixture
def settings_of_torch():
    """What `full_determinism` and verbosity change for the whole process is put back."""
    kept, environment = logging.get_verbosity(), dict(os.environ)
    yield
    torch.use_deterministic_algorithms(False)
    logging.set_verbosity(kept)
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's compiler looks at it
@pytest.mark.parametrize(
    ("run", "name", "value", "beside"),
    [pytest.param(*case, marks=pytest.mark.slow if case[:2] in SLOW else ()) for case in QUIET],
)
def test_it_changes_how_a_run_is_computed_alone(end_of, usual_end_of, settings_of_torch, run, name, value, beside):
    beside = {key: item for key, item in beside.items() if key != "stop_loss" or run == "finetune"}
    without = {"activation_checkpointing": False} if name.startswith("activation") else {}
    if name == "skip_memory_metrics":  # a thread looks at the memory all the time, and the run waits for it
        beside, without = {**beside, "max_steps": 1}, {"max_steps": 1}
    plain = usual_end_of(run, **without)
    end = end_of(run, **beside, **{name: value})
    assert float((end - plain).norm()) <= 1e-4 * float(plain.norm())


def test_tf32_is_refused_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.training_args.is_torch_tf32_available", lambda: False)
    with pytest.raises(ValueError, match="--tf32 requires"):  # the command makes a line of it
        UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, tf32=True)
    switched = []
    monkeypatch.setattr("transformers.training_args.is_torch_tf32_available", lambda: True)
    monkeypatch.setattr("transformers.training_args.enable_tf32", switched.append)
    UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, tf32=True)
    assert switched == [True]


def test_modes_of_the_compiler_arrive(make_trainer):
    trainer = make_trainer(torch_compile_mode="reduce-overhead")
    assert trainer.accelerator.state.dynamo_plugin.mode == "reduce-overhead"


def test_the_old_names_of_checkpointing(tmp_path):
    with pytest.warns(FutureWarning, match="deprecated"):
        args = UnlearnConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            gradient_checkpointing=True,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    assert args.activation_checkpointing is True
    assert args.activation_checkpointing_kwargs == {"use_reentrant": False}


def logged(trainer, name) -> list[int]:
    return [row["step"] for row in trainer.state.log_history if name in row]


def test_log_lines(make_trainer):
    trainer = make_trainer(learning_rate=1e-3, num_train_epochs=2, logging_steps=2, logging_first_step=True)
    trainer.train()
    assert logged(trainer, "loss") == [1, 2, 4, 6]


def test_who_logs(make_trainer, monkeypatch):
    other = make_trainer(log_on_each_node=False, log_level="error", log_level_replica="debug").args
    monkeypatch.setattr(type(other), "process_index", property(lambda self: 1))
    monkeypatch.setattr(type(other), "local_process_index", property(lambda self: 0))
    assert not other.should_log
    assert other.get_process_log_level() == logging.log_levels["debug"]
    other.log_on_each_node = True
    assert other.should_log
    monkeypatch.undo()
    for off in (False, True):
        names = [type(one).__name__ for one in make_trainer(disable_tqdm=off).callback_handler.callbacks]
        assert ("StepProgress" in names) is not off


def test_trackers_get_their_options(make_trainer, monkeypatch):
    seen = []

    class Tracker(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            seen.append([getattr(args, name) for name in given])

    given = {"run_name": "a", "project": "b", "trackio_space_id": "c", "trackio_bucket_id": "d"}
    given |= {"trackio_static_space_id": "e"} if "trackio_static_space_id" in FIELDS else {}
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "trackio", Tracker)
    make_trainer(report_to=["trackio"], learning_rate=1e-3, max_steps=1, **given).train()
    assert seen == [list(given.values())]


def test_checkpoints(make_trainer, tmp_path):
    make_trainer(
        learning_rate=1e-3, num_train_epochs=3, save_strategy="steps", save_steps=2, save_total_limit=2
    ).train()
    found = sorted(path.name for path in checkpoints_of(tmp_path / "run"))
    assert found == ["checkpoint-8", "checkpoint-9"]  # the last step is kept, too


def test_evaluations(make_trainer):
    options = {"learning_rate": 1e-3, "num_train_epochs": 3}
    trainer = make_trainer(eval_on_start=True, **options)
    trainer.train()
    assert logged(trainer, "eval_forget_loss") == [0]
    trainer = make_trainer(eval_strategy="steps", eval_steps=2, eval_delay=4, **options)
    trainer.train()
    assert logged(trainer, "eval_retain_loss") == [4, 6, 8, 9]  # and at the end


@pytest.mark.parametrize("greater", [True, False])
def test_the_best_model(make_trainer, greater):
    trainer = make_trainer(
        learning_rate=1e-2,
        num_train_epochs=3,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="forget_loss",
        greater_is_better=greater,
    )
    trainer.train()
    losses = [row["eval_forget_loss"] for row in trainer.state.log_history if "eval_forget_loss" in row]
    best = (max if greater else min)(losses)
    assert len(losses) == 3
    assert trainer.state.best_metric == best
    assert trainer.mean_loss(trainer.forget_dataset) == pytest.approx(best, rel=1e-6)
