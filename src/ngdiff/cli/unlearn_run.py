"""An unlearning run from its first step to its files, whatever is unlearned."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.files import write_json
from ngdiff.manifest import write_manifest
from ngdiff.modeling import save_model
from ngdiff.report import plot_curves
from ngdiff.training import UnlearnTrainer


def run_and_write(
    trainer: UnlearnTrainer, companion: Any, output: Path, manifest: Mapping[str, Any], *, checkpoint: Path | None
) -> None:
    """Train, write model, log, curves and manifest, and print both losses.

    Args:
        trainer: ready to train.
        companion: what is saved beside the model: tokenizer, or preparation of images.
        output: the folder; it exists.
        manifest: arguments of `ngdiff.manifest.write_manifest` but `output` and `extra`.
        checkpoint: where to go on from; None: from the start.
    """
    write_manifest(output, **manifest, extra={"finished": False})
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    save_model(trainer.accelerator.unwrap_model(trainer.model), companion, output)
    before = trainer.run_state.initial_losses
    after = {
        "forget": trainer.mean_loss(trainer.forget_dataset),
        "retain": trainer.mean_loss(trainer.retain_dataset, rows=len(trainer.forget_dataset)),
    }
    write_json(output / "training_log.json", {"steps": trainer.state.log_history, "probes": trainer.run_state.probes})
    if any("loss_forget" in row for row in trainer.state.log_history):  # there are none with --logging-strategy no
        plot_curves(trainer.state.log_history, output / "curves.png", forget_ceiling=trainer.ceiling)
    write_manifest(output, **manifest, extra={"finished": True, "losses_before": before, "losses_after": after})
    first = min(len(trainer.forget_dataset), len(trainer.retain_dataset))
    for title, role in (("forget loss", "forget"), (f"retain loss (first {first} rows)", "retain")):
        sys.stdout.write(f"{title}: {before[role]:.4f} before, {after[role]:.4f} after\n")
