"""An unlearning run from its first step to its files, whatever is unlearned."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.cli.processes import is_first, say, wait_for_all
from ngdiff.cli.ruined import RUINED, drop_ruined, in_ruined, ruined_error
from ngdiff.cli.signals import SIGNALS
from ngdiff.files import without_nan, write_json
from ngdiff.manifest import write_manifest
from ngdiff.report import plot_curves
from ngdiff.training import UnlearnTrainer
from ngdiff.training.checkpoint import WholeCheckpoint
from ngdiff.training.outcome import Outcome, outcome_of


def run_and_write(
    trainer: UnlearnTrainer,
    companion: Any,
    output: Path,
    manifest: Mapping[str, Any],
    *,
    checkpoint: WholeCheckpoint | None,
) -> None:
    """Train, write model, log, curves and manifest, and print both losses. In several processes the first one does.

    A model that is ruined (`ngdiff.training.outcome`) goes to the folder `ruined` in `output`.

    Args:
        trainer: ready to train.
        companion: what is saved beside the model: tokenizer, or preparation of images.
        output: the folder; it exists.
        manifest: arguments of `ngdiff.manifest.write_manifest` but `output` and `extra`.
        checkpoint: where to go on from; None: from the start.

    Raises:
        RuinedModelError: after all is written.
    """
    shared = {"processes": trainer.args.world_size, "rows_per_step": trainer.args.rows_per_step}
    SIGNALS.resumable = not trainer.args.save_only_model
    if is_first():
        write_manifest(output, **manifest, extra={"finished": False, **shared})
    wait_for_all()  # nobody reads or writes in a folder that is being emptied
    trainer.stop_request = SIGNALS.request
    trainer.train(resume_from_checkpoint=checkpoint)
    outcome = outcome_of(trainer)
    files = trainer.save_to(output / RUINED if outcome.ruined else output, companion)
    if is_first():
        if not outcome.ruined:
            drop_ruined(output)
        files = [*(in_ruined(files) if outcome.ruined else files), "training_log.json"]
        log = trainer.state.log_history
        write_json(output / "training_log.json", without_nan({"steps": log, "probes": trainer.run_state.probes}))
        if any("loss_forget" in row for row in log):  # there are none with --logging-strategy no
            plot_curves(log, output / "curves.png", forget_ceiling=trainer.ceiling)
            files.append("curves.png")
        write_manifest(output, **manifest, extra={"finished": True, **_as_extra(outcome), **shared}, outputs=files)
    for role in ("forget", "retain") if outcome.after else ():
        rows, total = outcome.rows[role], len(getattr(trainer, f"{role}_dataset"))
        of = "" if rows == total else f" ({rows} of {total} rows, evenly spread)"
        say(f"{role} loss{of}: {outcome.before[role]:.4f} before, {outcome.after[role]:.4f} after\n")
    if outcome.ruined:
        raise ruined_error(output, outcome, "--max-retain-loss")


def _as_extra(outcome: Outcome) -> dict[str, Any]:
    """For the manifest: losses, the rows that they are the means of, and whether the model is ruined."""
    bound = outcome.bound if math.isfinite(outcome.bound) else None
    ruined = {"ruined": outcome.ruined, "model": RUINED} if outcome.ruined else {}
    return {
        "losses_before": without_nan(outcome.before),
        "losses_after": without_nan(outcome.after),
        "rows_of_losses": dict(outcome.rows),
        "max_retain_loss": bound,
        **ruined,
    }
