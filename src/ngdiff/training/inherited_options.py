"""How a training run treats every option that it inherits from `transformers.TrainingArguments`.

Each is in one of three tables of the run: it works, it is refused (with the reason and what to do), or it has
no meaning here (why). A test goes over all fields of the installed version.
"""

from dataclasses import dataclass
from typing import Literal

Run = Literal["unlearn", "finetune", "finetune --task image"]


@dataclass(frozen=True)
class Inherited:
    """The options of one kind of run.

    Args:
        works: Those that do what transformers' documentation says.
        refused: Option -> why, and what to do.
        irrelevant: Option -> why it changes nothing. A message says so if it is given.
    """

    works: frozenset[str]
    refused: dict[str, str]
    irrelevant: dict[str, str]


_WORKS = frozenset(
    {
        *("output_dir", "seed", "use_cpu", "full_determinism", "remove_unused_columns"),
        *("per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps"),
        *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "max_grad_norm"),
        *("optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
        *("bf16", "tf32", "torch_compile", "torch_compile_backend", "torch_compile_mode", "torch_empty_cache_steps"),
        *("activation_checkpointing", "activation_checkpointing_kwargs"),
        *("gradient_checkpointing", "gradient_checkpointing_kwargs"),
        *("logging_strategy", "logging_steps", "logging_first_step", "include_num_input_tokens_seen"),
        *("log_level", "log_level_replica", "log_on_each_node", "disable_tqdm", "skip_memory_metrics"),
        *("report_to", "run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        *("save_strategy", "save_steps", "save_total_limit", "save_only_model"),
        "restore_callback_states_from_checkpoint",
        *("dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers"),
        *("dataloader_prefetch_factor", "dataloader_multiprocessing_context", "train_sampling_strategy"),
        *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_backend", "ddp_timeout"),
    }
)
_EVALUATION = frozenset(
    {
        *("eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size"),
        *("load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
    }
)

_HUB = (
    "a trainer uploads nothing; `ngdiff unlearn` has --push-to-hub, --hub-model-id and --hub-private-repo, and "
    "`ngdiff push OUTPUT REPOSITORY` uploads a finished model"
)
_PREDICTIONS = "the evaluation within a run keeps losses and no predictions; `ngdiff evaluate` measures the model"
_CUT = "batches are cut as --per-device-train-batch-size, --gradient-accumulation-steps and the processes say"
_REFUSED = {
    "fp16": "its loss scaling multiplies gradients by a factor that changes between steps; use --bf16",
    "fp16_full_eval": "it would turn the weights that are trained into half precision; use --bf16",
    "bf16_full_eval": "it would turn the weights that are trained into half precision; use --bf16",
    "use_liger_kernel": (
        "it replaces layers and the loss of the model by kernels that were never compared with them here; `unlearn` "
        "has --fused-loss liger, which is compared on the rows of the run (pip install liger-kernel)"
    ),
    "liger_kernel_config": "it belongs to --use-liger-kernel, which is not supported",
    "use_cache": "nothing is generated in training, where a cache of keys and values takes memory and serves nothing",
    "average_tokens_across_devices": "a loss is the mean over the tokens of all processes, always",
    "auto_find_batch_size": (
        "a run that starts again with half the rows would go on from weights that have moved; lower "
        "--per-device-train-batch-size and raise --gradient-accumulation-steps"
    ),
    "logging_nan_inf_filter": "a loss that is not a number stops the run, and is not hidden",
    "optim_target_modules": "it belongs to GaLore and APOLLO, which are not supported; use --lora-target-modules",
    "eval_do_concat_batches": _PREDICTIONS,
    "eval_use_gather_object": _PREDICTIONS,
    "eval_accumulation_steps": _PREDICTIONS,
    "include_for_metrics": _PREDICTIONS,
    "batch_eval_metrics": _PREDICTIONS,
    "save_on_each_node": "all machines of a run must share the disk on which --output lies",
    "enable_jit_checkpoint": "a signal writes a checkpoint without it",
    "push_to_hub": _HUB,
    "hub_token": _HUB,
    "hub_private_repo": _HUB,
    "hub_model_id": _HUB,
    "hub_strategy": _HUB,
    "hub_always_push": _HUB,
    "hub_revision": _HUB,
    "ignore_data_skip": "a run that goes on sees the rows that it would have seen; leave it out",
    "accelerator_config": _CUT,
    "parallelism_config": "models are whole in each process, or sharded by --fsdp (unlearn)",
    "dataloader_in_order": "batches in another order would be another run each time; leave it out",
    "label_names": "labels are called `labels`",
    "length_column_name": "lengths are those of the encoded rows",
    "ddp_static_graph": "passes differ from batch to batch; leave it out",
    "debug": "a loss or a gradient that is not finite stops the run with a message; leave it out",
    "resume_from_checkpoint": "use --resume (in Python: `train(resume_from_checkpoint=...)`)",
}
_IRRELEVANT = {
    "do_train": "the command trains",
    "do_eval": "--eval-strategy says when losses are logged",
    "do_predict": "`ngdiff evaluate` says what a model generates",
    "prediction_loss_only": "the evaluation within a run gives losses alone, always",
    "local_rank": "torchrun and its like number the processes",
}

_NO_EVALUATION = "finetune has no rows to evaluate on; use `ngdiff evaluate` afterwards"
_NOT_IN_FINETUNE = {
    **dict.fromkeys(_EVALUATION, _NO_EVALUATION),
    "fsdp": "finetune trains whole models; use --lora-rank where the memory does not suffice",
    "fsdp_config": "it belongs to --fsdp, which finetune does not have",
    "deepspeed": "finetune trains whole models; use --lora-rank where the memory does not suffice",
}
_IMAGES_ALONE = {
    "ddp_find_unused_parameters",
    "ddp_bucket_cap_mb",
    "ddp_broadcast_buffers",
    "ddp_backend",
    "ddp_timeout",
}

INHERITED: dict[Run, Inherited] = {
    "unlearn": Inherited(
        works=_WORKS | _EVALUATION | {"data_seed", "fsdp", "fsdp_config"},
        refused={
            **_REFUSED,
            "label_smoothing_factor": (
                "the losses of an objective are those of the rows' own tokens, also where a probe or the ceiling "
                "compares them; a loss of your own can be given as --retain-objective MODULE:NAME"
            ),
            "neftune_noise_alpha": "its noise would enter both gradients, as that of dropout would, and no probe",
            "dataloader_drop_last": "a pass shows every row to forget; the last step is filled with rows to keep",
            "deepspeed": (
                "it updates the weights inside the backward pass, before the two gradients can be combined; use "
                "several processes (torchrun -m ngdiff ...), with --fsdp where the model does not fit one device, or "
                "--lora-rank"
            ),
        },
        irrelevant=_IRRELEVANT,
    ),
    "finetune": Inherited(
        works=_WORKS | {"data_seed", "neftune_noise_alpha", "dataloader_drop_last"},
        refused={
            **_REFUSED,
            **_NOT_IN_FINETUNE,
            "label_smoothing_factor": "rows are learned until the model recites them; --stop-loss is their plain loss",
        },
        irrelevant=_IRRELEVANT,
    ),
    "finetune --task image": Inherited(
        works=(_WORKS - _IMAGES_ALONE - {"dataloader_persistent_workers", "remove_unused_columns"})
        | {"data_seed", "label_smoothing_factor", "dataloader_drop_last"},
        refused={
            **_REFUSED,
            **_NOT_IN_FINETUNE,
            **dict.fromkeys(_IMAGES_ALONE, "images are trained on in one process"),
            "neftune_noise_alpha": "images have no embedded tokens that noise could be added to",
            "dataloader_persistent_workers": "workers that live on crop every epoch as the first",
        },
        irrelevant={**_IRRELEVANT, "remove_unused_columns": "images come without columns"},
    ),
}

# Optimizers of --optim that were never combined with two gradients a step, by how their names begin.
REFUSED_OPTIMIZERS = {
    "galore": "it projects gradients of its own choice of layers, and was never tried here; use --lora-rank",
    "apollo": "it projects gradients of its own choice of layers, and was never tried here; use --lora-rank",
    "lomo": "it updates the weights inside the backward pass; use --optim sgd",
    "adalomo": "it updates the weights inside the backward pass; use --optim adafactor",
}

# Option -> (the options one of which it needs, as attribute and values; what to say). It changes nothing without one
# of them.
Needed = tuple[tuple[str, tuple[object, ...]], ...]
NEEDS: dict[str, tuple[Needed, str]] = {
    "save_steps": ((("save_strategy", ("steps",)),), "add --save-strategy steps"),
    "eval_steps": ((("eval_strategy", ("steps",)),), "add --eval-strategy steps"),
    "eval_delay": ((("eval_strategy", ("steps", "epoch")),), "add --eval-strategy steps or epoch"),
    "logging_steps": ((("logging_strategy", ("steps",)),), "add --logging-strategy steps"),
    "activation_checkpointing_kwargs": ((("activation_checkpointing", (True,)),), "add --activation-checkpointing"),
    "metric_for_best_model": (
        (
            ("load_best_model_at_end", (True,)),
            ("save_strategy", ("best",)),
            ("lr_scheduler_type", ("reduce_lr_on_plateau", "greedy")),
        ),
        "add --load-best-model-at-end or --save-strategy best",
    ),
    "greater_is_better": ((("metric_for_best_model", ()),), "add --metric-for-best-model"),
    "fsdp_config": ((("fsdp", ()),), "add --fsdp"),
    "dataloader_prefetch_factor": ((("dataloader_num_workers", ()),), "add --dataloader-num-workers"),
    "dataloader_persistent_workers": ((("dataloader_num_workers", ()),), "add --dataloader-num-workers"),
    "dataloader_multiprocessing_context": ((("dataloader_num_workers", ()),), "add --dataloader-num-workers"),
    "run_name": ((("report_to", ()),), "add --report-to with the name of a tracker"),
    "project": ((("report_to", ("trackio",)),), "add --report-to trackio"),
    "trackio_space_id": ((("report_to", ("trackio",)),), "add --report-to trackio"),
    "trackio_bucket_id": ((("report_to", ("trackio",)),), "add --report-to trackio"),
    "trackio_static_space_id": ((("report_to", ("trackio",)),), "add --report-to trackio"),
}
