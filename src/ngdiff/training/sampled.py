"""Other answers that the model makes up before unlearning: drawn once, kept in `private/`, read when a run resumes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evaluation.write import private_folder
from ngdiff.file_names import PRIVATE
from ngdiff.training.first_process import in_first_process
from ngdiff.writing import json_lines, write_text

FILE = "other_answers.jsonl"  # one line for each forget row: its number, its answers


def prepare_sampled(trainer: Any) -> None:
    """Have the model make up the other answers to the forget rows; a resumed run reads those that it began with.

    The first process samples and reads for all. Before `check_forward`: by the model's own passes.

    Args:
        trainer: An `UnlearnTrainer` that is ready to train.

    Raises:
        InputError: a model that cannot generate; a resumed run whose answers are not there as they were written.
        WriteError: the disk is full.
    """
    rows, args, state = trainer.compared.sampled, trainer.args, trainer.run_state
    if rows is None:
        return
    folder = Path(args.output_dir)
    if trainer.state.global_step > 0:  # the model is no longer that before unlearning
        rows.take(in_first_process(lambda: _read(folder, state.sampled)))
        return
    with trainer.observe("references"):
        answers, state.sampled = in_first_process(
            lambda: _written(rows.draw(trainer.model, seed=args.order_seed), folder)
        )
    rows.take(answers)


def _written(answers: list[list[str]], folder: Path) -> tuple[list[list[str]], str]:
    """The answers, and the SHA-256 of the file that they were written to."""
    text = json_lines({"row": row, "answers": own} for row, own in enumerate(answers))
    write_text(private_folder(folder) / FILE, text, private=True)
    return answers, hashlib.sha256(text.encode()).hexdigest()


def _read(folder: Path, identity: str) -> list[list[str]]:
    path = folder / PRIVATE / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _lost(path, f"it cannot be read ({error.strerror or error})") from error
    if hashlib.sha256(content).hexdigest() != identity:
        raise _lost(path, "it has changed, or is of another run")
    return [json.loads(line)["answers"] for line in content.decode().strip("\n").split("\n")]


def _lost(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} does not hold the answers that the model made up before unlearning, which this run teaches: {reason}. "
        "No checkpoint has them: put the file back from a copy, or start the run again, with --overwrite or another "
        "--output"
    )
