"""The record of a run from Python, as the command writes it: what `ngdiff verify` reads."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff import __version__
from ngdiff.errors import InputError
from ngdiff.file_names import CARD, MANIFEST, TRAINING_LOG
from ngdiff.manifest import describe_data, describe_model, now, write_manifest
from ngdiff.output_folder import prepare_output
from ngdiff.report.card import model_card
from ngdiff.report.logs import Log, write_log
from ngdiff.training.described_run import run_as_extra
from ngdiff.training.outcome import outcome_of
from ngdiff.training.trainer import UnlearnTrainer
from ngdiff.writing import write_text

_ROLES = ("forget", "retain", "holdout", "protect")


def save_with_evidence(
    trainer: UnlearnTrainer,
    folder: str | Path,
    companion: Any = None,
    *,
    sources: Mapping[str, str | Path] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model, its card, the training log, the options and a manifest with hashes of all that.

    The model is that of the trainer after `trainer.train()`. Losses are taken once more, for the numbers after the run.

    Args:
        trainer: After `train`.
        folder: Where to; missing, empty, or, with `overwrite`, of an earlier run.
        companion: What is saved beside the model: the tokenizer; by default the trainer's own.
        sources: Files and folders that were read, by role: model, base_model, forget, retain, holdout, protect. They
            are hashed too. Without them the manifest holds the hashes of the encoded rows alone.
        overwrite: Replace what an earlier run wrote there.

    Returns:
        Path of the manifest. None but the first of several processes writes; all must call it.

    Raises:
        InputError: an unknown role, a folder that cannot be used, or a trainer that has not trained.
        WriteError: the disk is full, or the folder cannot be written.
    """
    given = dict(sources or {})
    if unknown := given.keys() - {"model", "base_model", *_ROLES}:
        raise InputError(f"sources: {min(unknown)} is no role; one of model, base_model, {', '.join(_ROLES)}")
    companion = companion or trainer.processing_class
    if companion is None:
        raise InputError("companion: the trainer has no tokenizer; give what is to be saved beside the model")
    if not trainer.run_state.initial_losses:
        raise InputError("the trainer has not trained: there is nothing to write; call train() first")
    begun, path, first = now(), Path(folder), trainer.args.process_index == 0
    outcome = outcome_of(trainer)
    rows = {role: getattr(trainer, f"{role}_dataset") for role in _ROLES}
    model = describe_model(given["model"]) if "model" in given else {}
    if "base_model" in given:
        model["base_model"] = describe_model(given["base_model"])
    described: dict[str, Any] = {
        "command": ["python"],
        "config": trainer.args.to_dict(),
        "data": {role: _described(given.get(role), own) for role, own in rows.items() if own is not None},
        "model": model,
        "template": trainer.template_name,
        "template_text": trainer.task.template_text,
        "seed": trainer.args.seed,
        "begun": begun,
    }
    extra = {
        **run_as_extra(trainer, outcome),
        "processes": trainer.args.world_size,
        "rows_per_step": trainer.args.rows_per_step,
        **({"ruined": outcome.ruined} if outcome.ruined else {}),
    }
    if first:
        prepare_output(path, overwrite=overwrite, resumable=False)
        write_manifest(path, **described, extra={"finished": False, **extra})
    files = trainer.save_to(path, companion)
    if first:
        write_log(path, Log(trainer.state.log_history, trainer.run_state.probes, trainer.task.unit))
        own = {"task": "image" if "pixel_values" in trainer.task.inputs else "text", "lora_rank": _rank(trainer.model)}
        options = {**trainer.args.to_dict(), **trainer.args.given, **own}
        write_text(path / CARD, model_card(path.name, files, options, {**described, "extra": extra}, __version__))
        files = [*dict.fromkeys([*files, CARD, TRAINING_LOG])]
        return write_manifest(path, **described, extra={"finished": True, **extra}, outputs=files)
    return path / MANIFEST


def _rank(model: Any) -> int:
    """Of the adapter that was trained; 0 for a whole model."""
    return max((int(getattr(one, "r", 0)) for one in getattr(model, "peft_config", {}).values()), default=0)


def _described(source: str | Path | None, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Files and encoded rows: their number, and a hash of all tokens and labels in order."""
    digest = hashlib.sha256()
    for row in rows:
        for key in ("input_ids", "labels"):
            if key in row:
                digest.update(array("q", [int(token) for token in row[key]]).tobytes() + b"|")
    files = describe_data(source, []) if source is not None else {}
    return {**files, "rows": len(rows), "rows_sha256": digest.hexdigest(), "rows_are": "encoded"}
