"""An unlearning run from its first step to its files, whatever is unlearned."""

from typing import Any

from ngdiff.cli.processes import is_first
from ngdiff.cli.run_folder import RunFolder
from ngdiff.cli.signals import SIGNALS
from ngdiff.file_names import CURVES, TRAINING_LOG
from ngdiff.report import plot_curves
from ngdiff.report.logs import Log, write_log
from ngdiff.training import UnlearnTrainer
from ngdiff.training.checkpoint import WholeCheckpoint
from ngdiff.training.described_run import run_as_extra
from ngdiff.training.outcome import Outcome, outcome_of


def train(trainer: UnlearnTrainer, companion: Any, folder: RunFolder, checkpoint: WholeCheckpoint | None) -> Outcome:
    """Train, and write model, log and curves. In several processes the first one writes.

    A model that is ruined (`ngdiff.training.outcome`) goes to the folder `ruined` in the output folder.

    Args:
        trainer: Ready to train.
        companion: Saved with the model: tokenizer, or preparation of images.
        folder: Begun.
        checkpoint: Where to continue from; None: from the start.
    """
    trainer.stop_request = SIGNALS.request
    trainer.train(resume_from_checkpoint=checkpoint)
    outcome = outcome_of(trainer)
    files = trainer.save_to(folder.model_place(outcome.ruined), companion)
    folder.add_model(files, outcome.ruined)
    folder.extra |= run_as_extra(trainer, outcome)
    if is_first():
        folder.outputs.append(TRAINING_LOG)
        log = trainer.state.log_history
        unit = trainer.task.unit
        write_log(folder.path, Log(log, trainer.run_state.probes, unit))
        if any("loss_forget" in row for row in log):  # there are none with --logging-strategy no
            plot_curves(log, folder.path / CURVES, forget_ceiling=trainer.ceiling, unit=unit)
            folder.outputs.append(CURVES)
    return outcome


def losses_of(trainer: UnlearnTrainer, outcome: Outcome) -> str:
    """The losses of each set before and after, a line each; empty where there are no numbers.

    That of holdout rows shows the damage to other rows: it should not change.
    """
    lines = []
    for role in outcome.after:
        rows, total = outcome.rows[role], len(getattr(trainer, f"{role}_dataset"))
        of = "" if rows == total else f" ({rows} of {total} rows, evenly spread)"
        lines.append(f"{role} loss{of}: {outcome.before[role]:.4f} before, {outcome.after[role]:.4f} after\n")
    return "".join(lines)
