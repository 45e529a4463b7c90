"""An unlearning run from its first step to its files, whatever is unlearned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.cli.processes import is_first, say, wait_for_all
from ngdiff.cli.signals import SIGNALS
from ngdiff.files import without_nan, write_json
from ngdiff.manifest import write_manifest
from ngdiff.report import plot_curves
from ngdiff.training import UnlearnTrainer
from ngdiff.training.checkpoint import WholeCheckpoint


def run_and_write(
    trainer: UnlearnTrainer,
    companion: Any,
    output: Path,
    manifest: Mapping[str, Any],
    *,
    checkpoint: WholeCheckpoint | None,
) -> None:
    """Train, write model, log, curves and manifest, and print both losses. In several processes the first one does.

    Args:
        trainer: ready to train.
        companion: what is saved beside the model: tokenizer, or preparation of images.
        output: the folder; it exists.
        manifest: arguments of `ngdiff.manifest.write_manifest` but `output` and `extra`.
        checkpoint: where to go on from; None: from the start.
    """
    shared = {"processes": trainer.args.world_size, "rows_per_step": trainer.args.rows_per_step}
    if is_first():
        write_manifest(output, **manifest, extra={"finished": False, **shared})
    wait_for_all()  # nobody reads or writes in a folder that is being emptied
    SIGNALS.resumable = not trainer.args.save_only_model
    trainer.stop_request = SIGNALS.request
    trainer.train(resume_from_checkpoint=checkpoint)
    files = trainer.save_to(output, companion)
    before = trainer.run_state.initial_losses
    after = {
        "forget": trainer.mean_loss(trainer.forget_dataset),
        "retain": trainer.mean_loss(trainer.retain_dataset, rows=len(trainer.forget_dataset)),
    }
    if not is_first():
        return
    log = trainer.state.log_history
    write_json(output / "training_log.json", without_nan({"steps": log, "probes": trainer.run_state.probes}))
    if any("loss_forget" in row for row in log):  # there are none with --logging-strategy no
        plot_curves(log, output / "curves.png", forget_ceiling=trainer.ceiling)
        files.append("curves.png")
    losses = {"losses_before": before, "losses_after": after}
    files.append("training_log.json")
    write_manifest(output, **manifest, extra={"finished": True, **losses, **shared}, outputs=files)
    first = min(len(trainer.forget_dataset), len(trainer.retain_dataset))
    for title, role in (("forget loss", "forget"), (f"retain loss (first {first} rows)", "retain")):
        say(f"{title}: {before[role]:.4f} before, {after[role]:.4f} after\n")
