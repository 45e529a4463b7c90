"""`--resume`: a run goes on as it began, with the same options, rows, model and tokenizer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ngdiff.errors import InputError
from ngdiff.manifest import CONFIG, MANIFEST
from ngdiff.training.checkpoint import last_checkpoint

# Options that a resumed run may change. All others decide where it goes; files are compared by what they hold.
_MAY_CHANGE = (
    *("output", "model", "forget", "retain", "holdout", "drop_overlap", "train", "tokenizer", "trust_remote_code"),
    *("benchmark", "base_model", "dataset"),
    *("num_train_epochs", "max_steps", "stop_loss", "disable_tqdm", "report_to", "run_name", "project"),
    *("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "log_level"),
    *("save_strategy", "save_steps", "save_total_limit"),
    *("eval_strategy", "do_eval", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size"),
)


def refuse_other_run(
    output: str, settings: Mapping[str, Any], *, data: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]
) -> None:
    """Compare a run with the one that left its config and manifest in `output`.

    Args:
        output: the output folder, as typed.
        settings: options of the run, from `ngdiff.cli.options.resolved`.
        data: for each role what `describe_data` returned.
        model: what goes into the manifest as the model.

    Raises:
        InputError: no run is there, or another one; names the first option that differs.
    """
    folder = Path(output).expanduser()
    for name in (CONFIG, MANIFEST):
        if not (folder / name).is_file():
            raise InputError(f"--resume: {output} holds no {name} of an earlier run")
    before = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    for name in sorted({*settings, *before} - {*_MAY_CHANGE}):
        if settings.get(name) != before.get(name):
            raise InputError(
                f"--resume: the run in {output} has {name} = {before.get(name)}, not {settings.get(name)}; give the "
                "same options, or another --output"
            )
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    now, then = _contents(data, model), _contents(manifest["data"], manifest["model"])
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            raise InputError(
                f"--resume: --{name} does not hold what it held when the run in {output} began; give the same, or "
                "another --output"
            )


def checkpoint_to_resume(output: str, *, resume: bool) -> Path | None:
    """The checkpoint that a run goes on from; None for one that starts.

    Raises:
        InputError: `resume`, and no checkpoint there that was written to its end.
    """
    if not resume:
        return None
    checkpoint = last_checkpoint(Path(output).expanduser())
    if checkpoint is None:
        raise InputError(f"--resume: {output} holds no checkpoint that was written to its end")
    return Path(checkpoint)


def _contents(data: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]) -> dict[str, Any]:
    rows = {role: described["rows_sha256"] for role, described in data.items()}
    tokenizer = {"tokenizer": _content(model["tokenizer"])} if "tokenizer" in model else {}
    base = {"base-model": _content(model["base_model"])} if "base_model" in model else {}
    return {"model": _content(model), **tokenizer, **base, **rows}


def _content(model: Mapping[str, Any]) -> Any:
    """Hashes of the files; the name where it comes from the hub or is that of a shape."""
    return model.get("files") or model.get("sha256") or model.get("source") or model.get("shape")
