"""Runs that must go the same way however they are spread over processes, and how closely they do.

Tolerances are largest differences of any weight after six steps (with accumulation four), a few times what was
measured. AdamW divides by the square root of tiny second moments, which magnifies rounding. A probe of the learning
rate divides differences of losses, which are sure to about 1e-6: rates agree to 1e-3, and so do the weights'
movements; where the rate is small, so is the difference.
"""

from dataclasses import dataclass
from typing import Any

SGD = {"optim": "sgd", "learning_rate": "1e-2"}
ADAMW = {"optim": "adamw_torch", "learning_rate": "1e-3", "weight_decay": 0.1}
# A search on a random model goes to the edge of stability, where rounding grows with every step; by how much depends on
# the rows. The tolerances were measured with rows at random; the cases without a search run with rows by length.
AT_RANDOM = {"train_sampling_strategy": "random"}
AUTOLR = {"optim": "sgd", "learning_rate": "auto", "autolr_interval": 2, **AT_RANDOM}
# Rate far below the edge of stability, so that nothing but the arithmetic of probes differs.
SMALL = {"optim": "sgd", "learning_rate": "auto:1e-2", "autolr_search": False, "autolr_interval": 2}
# A weighting with a state.
PDU = {**SGD, "method": "npo+pdu(lr=0.3)"}


@dataclass(frozen=True)
class Case:
    """A run.

    Args:
        options: Of `worker.py`.
        ddp: Tolerance of two processes with whole weights.
        fsdp: Tolerance of two processes with sharded weights; None: not run.
        relative: Tolerances are parts of the largest movement of any weight.
    """

    options: dict[str, Any]
    ddp: float
    fsdp: float | None = None
    relative: bool = False


CASES: dict[str, Case] = {
    "sgd": Case(SGD, 1e-8, 1e-8),
    "options of processes": Case(
        {
            **SGD,
            "ddp_find_unused_parameters": True,
            "ddp_bucket_cap_mb": 1,
            "ddp_broadcast_buffers": False,
            "ddp_backend": "gloo",
            "ddp_timeout": 600,
        },
        1e-8,
    ),
    "sgd in two micro-batches": Case({**SGD, "gradient_accumulation_steps": 2}, 1e-8, 1e-8),
    "adamw": Case(ADAMW, 1e-6, 1e-6),
    "lora": Case({**ADAMW, "weight_decay": 0.0, "lora": True}, 1e-6, 1e-6),
    "autolr, small rate": Case({**SMALL, "max_steps": 3}, 2e-8, 2e-8),
    "lean": Case({**SMALL, "max_steps": 3, "autolr_memory": "lean"}, 2e-8, 2e-8),
    "lean, a probe in every step": Case(
        {**SMALL, "max_steps": 3, "autolr_memory": "lean", "autolr_interval": 1, "learning_rate": "auto:3e-1"},
        5e-7,
        5e-7,
    ),
    "one buffer": Case({**SGD, "gradient_accumulation_steps": 2, "gradient_buffers": 1}, 1e-8, 1e-8),
    # Rounding to bf16 turns last digits of fp32 into steps of 2^-8.
    "bf16 stash": Case({**SGD, "stash_dtype": "bfloat16"}, 1e-3, 1e-3, relative=True),
    "autolr": Case(AUTOLR, 1e-3, 1e-3, relative=True),
    "autolr in two micro-batches": Case({**AUTOLR, "gradient_accumulation_steps": 2}, 1e-3, relative=True),
    "autolr, adamw": Case({**AUTOLR, "optim": "adamw_torch"}, 1e-3, 1e-3, relative=True),
    "kl": Case({**SGD, "retain_objective": "kl"}, 1e-6, 1e-6),
    "npo, padded": Case({**SGD, "method": "npo+ngdiff", "packing": "off"}, 1e-8, 1e-8),
    "dpo": Case({**SGD, "method": "dpo+ngdiff", "text": True}, 1e-8),
    "npo": Case({**SGD, "method": "npo+ngdiff"}, 1e-8, 1e-8),
    "rmu": Case({**SGD, "method": "rmu"}, 1e-8),
    # An entry near 0 may change its sign with the rounding, and the whole entry of the step with it: none here does.
    "sago": Case({**SGD, "method": "sago"}, 1e-8, 1e-8),
    "sago-sum, lora in two micro-batches": Case(
        {**SGD, "method": "npo+sago-sum", "lora": True, "gradient_accumulation_steps": 2, "max_steps": 3}, 5e-8, 5e-8
    ),
    # The first steps explode and are undone, in all processes.
    "rollback": Case({**SGD, "learning_rate": "1e3", "on_divergence": "rollback"}, 1e-5, 1e-5, relative=True),
    "pdu": Case({**PDU, "save_strategy": "steps", "save_steps": 4}, 5e-8, 5e-8),
}

# Interrupted after four of six steps, within the second epoch.
INTERRUPTED = {
    "optim": "adamw_torch",
    "learning_rate": "auto",
    "autolr_interval": 3,
    "method": "npo+ngdiff",
} | AT_RANDOM
SAVED = {**INTERRUPTED, "save_strategy": "steps", "save_steps": 4}
