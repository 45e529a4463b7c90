"""`--resume`: a run goes on as it began, with the same options, rows, model and tokenizer."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ngdiff.errors import InputError
from ngdiff.files import is_ours, is_unused
from ngdiff.manifest import CONFIG, MANIFEST
from ngdiff.paths import user_path
from ngdiff.training.checkpoint import last_checkpoint
from ngdiff.training.config import packing_word

logger = logging.getLogger(__name__)

# Options that a resumed run may change. All others decide where it goes; files are compared by what they hold.
_MAY_CHANGE = (
    *("output", "model", "forget", "retain", "holdout", "drop_overlap", "train", "tokenizer", "trust_remote_code"),
    *("benchmark", "base_model", "dataset"),
    *("num_train_epochs", "max_steps", "stop_loss", "disable_tqdm", "report_to", "run_name", "project"),
    *("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "log_level"),
    *("save_strategy", "save_steps", "save_total_limit"),
    *("eval_strategy", "do_eval", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size"),
)


# How a step is spread over processes and micro-batches; what matters is the number of rows in the whole step.
_SPREAD = (
    *("per_device_train_batch_size", "gradient_accumulation_steps", "use_cpu", "fsdp", "fsdp_config"),
    *("ddp_backend", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_timeout"),
)


def refuse_other_run(
    output: str,
    settings: Mapping[str, Any],
    *,
    data: Mapping[str, Mapping[str, Any]],
    model: Mapping[str, Any],
    rows_per_step: int | None = None,
) -> None:
    """Compare a run with the one that left its config and manifest in `output`.

    A run that was killed while it wrote them did nothing yet: there is nothing to compare, and it starts anew.

    Args:
        output: the output folder, as typed.
        settings: options of the run, from `ngdiff.cli.options.resolved`.
        data: for each role what `describe_data` returned.
        model: what goes into the manifest as the model.
        rows_per_step: rows of each set in one step, over all processes, for a command that may go on in another number
            of processes.

    Raises:
        InputError: no run is there, or another one; names the first option that differs.
    """
    folder = user_path(output, "--output")
    if _had_only_begun(folder):
        return
    for name in (CONFIG, MANIFEST):
        if not (folder / name).is_file():
            raise InputError(f"--resume: {output} holds no {name} of an earlier run")
    before = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    if "packing" in before:
        before["packing"] = packing_word(before["packing"])  # a run of before it was a word
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    rows_then = manifest["extra"].get("rows_per_step")
    same_rows = rows_per_step is not None and rows_per_step == rows_then
    for name in sorted({*settings, *before} - {*_MAY_CHANGE, *(_SPREAD if same_rows else ())}):
        if settings.get(name) != before.get(name):
            raise InputError(
                f"--resume: the run in {output} has {name} = {before.get(name)}, not {settings.get(name)}; give the "
                "same options, or another --output"
            )
    if rows_per_step is not None and rows_then is not None and not same_rows:
        raise InputError(
            f"--resume: a step of the run in {output} has {rows_then} rows of each set, not {rows_per_step}; choose "
            "--per-device-train-batch-size and --gradient-accumulation-steps so that their product with the number of "
            f"processes is {rows_then}"
        )
    now, then = _contents(data, model), _contents(manifest["data"], manifest["model"])
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            raise InputError(
                f"--resume: --{name} does not hold what it held when the run in {output} began; give the same, or "
                "another --output"
            )


def checkpoint_to_resume(output: str, *, resume: bool) -> Path | None:
    """The checkpoint that a run goes on from; None for one that starts, also where it was killed before its first.

    Raises:
        InputError: `resume`, no checkpoint there that was written to its end, and a model: the run had ended.
    """
    if not resume:
        return None
    folder = user_path(output)
    checkpoint = last_checkpoint(folder)
    if checkpoint is None and any(folder.glob("*.safetensors")):
        raise InputError(f"--resume: {output} holds no checkpoint that was written to its end")
    if checkpoint is None:
        logger.info("--resume: %s holds no checkpoint yet; the run starts from its beginning", output)
    return checkpoint


def _had_only_begun(folder: Path) -> bool:
    """Whether the run in a folder was killed before both of its first files were there.

    The manifest comes first, then the options (`ngdiff.manifest.write_manifest`).
    """
    if is_unused(folder):
        return True
    return is_ours(folder) and not (folder / CONFIG).exists() and last_checkpoint(folder) is None


def _contents(data: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]) -> dict[str, Any]:
    rows = {role: described["rows_sha256"] for role, described in data.items()}
    tokenizer = {"tokenizer": _content(model["tokenizer"])} if "tokenizer" in model else {}
    base = {"base-model": _content(model["base_model"])} if "base_model" in model else {}
    return {"model": _content(model), **tokenizer, **base, **rows}


def _content(model: Mapping[str, Any]) -> Any:
    """Hashes of the files; the name where it comes from the hub or is that of a shape."""
    return model.get("files") or model.get("sha256") or model.get("source") or model.get("shape")
