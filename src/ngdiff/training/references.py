"""Outputs of another model for a run's rows: computed before its first step, read again when it resumes.

That is the model before unlearning, or the base model, the one before fine-tuning.

Each computation has an identifier, a random number, which is stored next to the files and in the run's checkpoints. A
resumed run can thus tell its own references from those of another run without reading any weight.
"""

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.checksums import write_checksums, wrong_files
from ngdiff.core.answers import Answers, Reference
from ngdiff.core.slots import Side
from ngdiff.data.progress import with_bar
from ngdiff.errors import InputError, WriteError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.modeling.reference import Forward, ReferenceStore, write_references
from ngdiff.objectives import Objective
from ngdiff.plurals import number_of
from ngdiff.writing import write_json

logger = logging.getLogger(__name__)

_INDEX = "index.json"


class References:
    """Outputs of a model for the rows, by set.

    Args:
        folder: Where they are kept, inside the run's output folder.
        sets: Name of a set -> its encoded rows, each with a `row_id`; only sets that need references.
        log_probs: Names of the sets of which log-probabilities of all choices are needed.
        names: Keys of a row that say what it is.
        alternates: Makes the rows of one more set, `alternate`: their answers may be known only when the run starts.
    """

    def __init__(
        self,
        folder: str | Path,
        sets: Mapping[str, Sequence[Mapping[str, Any]]],
        log_probs: Sequence[str],
        names: Sequence[str],
        alternates: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.folder, self.sets, self.log_probs, self._names = Path(folder), dict(sets), set(log_probs), names
        self._alternates = alternates
        self._stores: dict[str, ReferenceStore] = {}

    @classmethod
    def needed(
        cls,
        folder: str | Path,
        objectives: Mapping[Side, Objective],
        rows: Mapping[Side, Sequence[Mapping[str, Any]]],
        alternates: Callable[[], Iterable[Mapping[str, Any]]],
        names: Sequence[str],
        protect: Sequence[Mapping[str, Any]] | None = None,
    ) -> "References | None":
        """The references that a run needs for its objectives and protected rows; None if it needs none.

        Args:
            folder: As above.
            objectives: Of both sides.
            rows: Of both sides.
            alternates: Makes the forget rows with alternative answers, all that the run uses.
            names: As above.
            protect: Protected rows, if there are any.
        """
        sets: dict[str, Sequence[Mapping[str, Any]]] = {}
        log_probs, taught = [], None
        if protect is not None:
            sets["protect"] = [{**row, "row_id": i} for i, row in enumerate(protect)]
            log_probs.append("protect")
        for side, objective in objectives.items():
            if not objective.needs & {"reference", "reference_logits"}:
                continue
            asked: list[str] = [side]
            sets[side] = [{**row, "row_id": i} for i, row in enumerate(rows[side])]
            if "alternate" in objective.needs:
                asked.append("alternate")
                taught = alternates
            log_probs += asked if "reference_logits" in objective.needs else []
        return cls(folder, sets, log_probs, names, taught) if sets else None

    @classmethod
    def of_base_model(
        cls,
        folder: str | Path,
        objective: Objective,
        forget: Sequence[Mapping[str, Any]],
        holdout: Sequence[Mapping[str, Any]],
        names: Sequence[str],
    ) -> "References":
        """Outputs of the base model for the rows to forget, and for the holdout rows from which levels are taken.

        Args:
            folder: As above.
            objective: Of the forget side.
            forget, holdout: Encoded rows.
            names: As above.
        """
        sets = {
            name: [{**row, "row_id": i} for i, row in enumerate(rows)]
            for name, rows in (("forget", forget), ("holdout", holdout))
            if len(rows)
        }
        return cls(folder, sets, ["forget"] if "teacher_logits" in objective.needs else [], names)

    def _gather(self) -> None:
        """Make the rows that are known only now, and the key: SHA-256 over all rows and what is kept of them."""
        if self._alternates is not None:
            self.sets["alternate"] = list(self._alternates())
        rows = {
            name: [[row["row_id"], *(_plain(row[key]) for key in self._names)] for row in rows]
            for name, rows in self.sets.items()
        }
        self._key = hashlib.sha256(json.dumps([rows, sorted(self.log_probs)], sort_keys=True).encode()).hexdigest()

    def require(self, identity: str) -> None:
        """Read the quantities for a resumed run.

        Args:
            identity: What `compute` returned when the run began.

        Raises:
            InputError: the files are missing or changed, or belong to another run or to other rows. The model
                before unlearning no longer exists, so they cannot be computed again.
        """
        self._gather()
        self._open(identity)

    def _open(self, identity: str) -> None:
        wrong, advice = "; ".join(wrong_files(self.folder)), "restore the wrong files from a copy"
        if not wrong:
            index = self._index()
            if index["identity"] != identity:
                wrong, advice = "it is of another run", "put back that of this run from a copy"
            elif index["key"] != self._key:
                wrong, advice = "it is of other rows", "give the same rows as at its start"
        if wrong:
            raise InputError(
                f"{self.folder} does not hold the outputs of the model before unlearning, with which the objectives of "
                f"this run compare ({wrong}). No checkpoint has them: {advice}, or start the run again, with "
                "--overwrite or another --output"
            )
        self._stores = {name: ReferenceStore(self.folder, name) for name in self.sets}

    def found(self, identity: str) -> bool:
        """Whether they could be read, as by `require`; for a model that still exists and can compute them again."""
        try:
            self.require(identity)
        except InputError:
            return False
        return True

    def compute(
        self,
        model: nn.Module,
        forward: Forward,
        collate: Callable[..., dict[str, Tensor]],
        *,
        batch_size: int,
        device: torch.device,
        process: int = 0,
        processes: int = 1,
        wait: Callable[[], None] = lambda: None,
        show_progress: bool = False,
    ) -> str:
        """One pass over all rows of the sets, shared between the processes.

        Earlier contents of the folder are removed: they may belong to other weights.

        Args:
            model: The model before unlearning, as the run trains it (wrapped, on its device).
            forward: `(model, batch, needs) -> Answers`.
            collate: Encoded rows -> batch.
            batch_size: Rows of a batch.
            device: Where batches go.
            process, processes: Number of this process, and of all.
            wait: Waits for the other processes.
            show_progress: Show a bar on a terminal.

        Returns:
            Identifier of the computation, the same in all processes.

        Raises:
            WriteError: the disk is full, or the folder cannot be written.
        """
        self._gather()
        if process == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            try:
                self.folder.mkdir(parents=True)
            except OSError as error:
                raise WriteError(self.folder, error) from error
        wait()
        with eval_mode(model):
            for name, rows in self.sets.items():
                stored = number_of(len(rows), f"{name} row")
                logger.info("What the model says about the %s before unlearning is stored.", stored)
                own = _share(rows, batch_size, process, processes)
                title = f"{name} rows before unlearning"
                bar = with_bar(own, title, total=len(own), shown=show_progress, unit="batch")
                batches = (collate([rows[i] for i in numbers]) for numbers in bar)
                on_device = ({key: value.to(device) for key, value in batch.items()} for batch in batches)
                write_references(
                    self.folder, name, model, on_device, forward, log_probs=name in self.log_probs, process=process
                )
        wait()
        if process == 0:
            counts = {name: len(rows) for name, rows in self.sets.items()}
            write_json(self.folder / _INDEX, {"identity": uuid.uuid4().hex, "key": self._key, "rows": counts})
            write_checksums(self.folder)
        wait()
        identity = str(self._index()["identity"])
        self._open(identity)
        return identity

    def _index(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
        return index

    def losses(self, name: str) -> list[Tensor]:
        """Losses of the answer tokens of each row of a set, in nats."""
        return [self._stores[name].losses(row) for row in range(len(self.sets[name]))]

    def of(self, name: str, batch: Mapping[str, Tensor], answers: Answers) -> Reference | None:
        """The outputs for a batch's rows; None if nothing was computed for their set.

        Args:
            name: Of the set that the rows are of.
            batch: With the `row_id` of each row.
            answers: The model's outputs for it, for device and width.

        Raises:
            InputError: a batch without numbers of rows, as some collators make them.
        """
        if name not in self.sets:
            return None
        if "row_id" not in batch:
            raise InputError("data_collator: batches need the `row_id` of each row for this objective")
        rows = [row for row in batch["row_id"].tolist() if row >= 0]
        if not rows:  # a placeholder batch
            empty = answers.nll.new_zeros(0)
            return Reference(empty, None if answers.logits is None else answers.logits.new_zeros(answers.logits.shape))
        return self._stores[name].of(rows, answers.nll.device)


def _share(rows: Sequence[Mapping[str, Any]], batch_size: int, process: int, processes: int) -> list[list[int]]:
    """Numbers of the rows of this process's batches, longest rows first; as many batches for every process, as a
    sharded model needs."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].get("input_ids", ())))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches += batches[: -len(batches) % processes]
    return batches[process::processes]


def _plain(value: Any) -> Any:
    """A row's value in a type that JSON has."""
    return value.tolist() if hasattr(value, "tolist") else value
