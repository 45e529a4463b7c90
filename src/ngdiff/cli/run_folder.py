"""The output folder of a run that trains: checked, resumed, begun and finished."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ngdiff import __version__
from ngdiff.cli.options import TrainingOutputOptions, resolved
from ngdiff.cli.processes import is_first, wait_for_all
from ngdiff.cli.resume import checkpoint_to_resume, is_done, refuse_other_run
from ngdiff.cli.ruined import drop_ruined, in_ruined
from ngdiff.cli.signals import SIGNALS
from ngdiff.evidence.ledger import read_retests, refuse_came_back
from ngdiff.evidence.read_run import read_run
from ngdiff.evidence.verdicts import read_verdicts, refuse_unmet
from ngdiff.file_names import MERGED_BASE, PRIVATE, RUINED
from ngdiff.manifest import now, write_manifest
from ngdiff.output_folder import check_output, prepare_output
from ngdiff.paths import full_path, user_path
from ngdiff.training.checkpoint import WholeCheckpoint, resumable_parts
from ngdiff.writing import write_text


class RunFolder:
    """Where a run writes, from the check before anything is read to the last manifest.

    The folder is checked when the object is made. `describe` says what the run is and, with `--resume`, compares it
    with the run that began there. As a context manager it lasts from there to the end: `begin` empties the folder and
    writes the first manifest, and where the block ends without an exception after `begin`, the last manifest is
    written, with hashes of `outputs`, after the card of the model, and what only a resumed run needs is removed. All
    processes of a run do the same; the first one reads and writes.

    Args:
        command: Name of the command.
        words: Those behind it.
        options: With `output`, `overwrite`, `resume` and `keep_checkpoints`.
        config: The arguments of the trainer.
        inputs: Models and data sets of the run, which `--overwrite` must not delete.

    Attributes:
        path: The folder.
        outputs: Names of the files that the run has made; filled by the command.
        extra: More for the last manifest; filled by the command.

    Raises:
        InputError: as `ngdiff.output_folder.check_output`.
    """

    def __init__(
        self,
        command: str,
        words: Sequence[str],
        options: TrainingOutputOptions,
        config: Any,
        inputs: Sequence[str | Path],
    ) -> None:
        self.path = user_path(options.output, "--output")
        self.outputs: list[str] = []
        self.extra: dict[str, Any] = {}
        self._options, self._config, self._begun = options, config, False
        self._where: dict[str, Any] = {"overwrite": options.overwrite, "resume": options.resume, "inputs": inputs}
        self._manifest: dict[str, Any] = {"command": ["ngdiff", command, *words], "seed": config.seed}
        self._always: dict[str, Any] = {}
        self._model: list[str] = []  # names of its files
        self._place = self.path
        if is_first():
            check_output(options.output, **self._where)

    def describe(
        self,
        options: Any,
        *,
        data: Mapping[str, Mapping[str, Any]],
        model: Mapping[str, Any],
        template: str | None,
        template_text: str | None = None,
        own: Mapping[str, Mapping[str, Any]] | None = None,
        after: Mapping[str, Any] | None = None,
        rows_per_step: int | None = None,
    ) -> Self:
        """Record the identity of the run, before the model is loaded.

        Args:
            options: As of the run, with what was found out since.
            data, model, template, template_text, own, after: As for `ngdiff.manifest.write_manifest`.
            rows_per_step: Of each set, for a run that may continue in another number of processes.

        Raises:
            InputError: `--resume`, and the run in the folder is another one, or none.
        """
        settings = resolved(options, self._config)
        self._manifest |= {"config": settings, "data": data, "model": model, "template": template, "own": own or {}}
        self._manifest |= {"template_text": template_text, "after": after}
        if is_first() and self._options.resume:
            refuse_other_run(
                self._options.output,
                settings,
                data=data,
                model=model,
                rows_per_step=rows_per_step,
                own=own,
                words=self._manifest["command"],
            )
        return self

    def is_done(self) -> bool:
        """Whether `--resume` finds nothing left to do. All processes must call it.

        Raises:
            RuinedModelError, VerdictError: that is done, and ended so.
        """
        done = is_done(self._options.output, self._manifest["config"], resume=self._options.resume)
        if done:
            _, manifest = read_run(self.path)
            refuse_came_back(read_retests(manifest["extra"]), self._options.output)
            refuse_unmet(read_verdicts(manifest["extra"]), self._options.output)
        return done

    def checkpoint(self) -> WholeCheckpoint | None:
        """The checkpoint from which the run continues; None: from its beginning. All processes must call it."""
        with_best = self._config.load_best_model_at_end
        return checkpoint_to_resume(self._options.output, resume=self._options.resume, with_best=with_best)

    def begin(self, **always: Any) -> None:
        """All input is accepted: empty the folder, and write the manifest of a run that is not finished.

        Args:
            always: More for both manifests.
        """
        self._always, self._begun = always, True
        if is_first():
            prepare_output(self._options.output, **self._where)
        SIGNALS.resumable = not self._config.save_only_model
        if is_first():
            self._manifest["begun"] = now()
            write_manifest(self.path, **self._manifest, extra={"finished": False, **always})
        wait_for_all()  # nobody reads or writes in a folder that is being emptied

    def model_place(self, ruined: str) -> Path:
        """Where the model goes: the folder itself, or its folder `ruined` if there is a reason."""
        return self.path / RUINED if ruined else self.path

    def add_model(self, files: Sequence[str], ruined: str) -> None:
        """Count the files of the model, written to `model_place`, among the outputs."""
        if is_first() and not ruined:
            drop_ruined(self.path)
        self._model, self._place = list(files), self.model_place(ruined)
        self.outputs += in_ruined(files) if ruined else files
        base = self.path / MERGED_BASE  # without which an adapter is nothing
        self.outputs += [f"{MERGED_BASE}/{file.name}" for file in base.iterdir()] if base.is_dir() else []
        if ruined:
            self.extra |= {"ruined": ruined, "model": RUINED}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._begun and is_first():
            extra = {"finished": True, **self.extra, **self._always}
            self._write_card(extra)
            self.outputs += [f"{PRIVATE}/{file.name}" for file in sorted((self.path / PRIVATE).glob("[!.]*"))]
            write_manifest(self.path, **self._manifest, extra=extra, outputs=self.outputs)
            if not (self._options.keep_checkpoints or self.extra.get("ruined")):
                for part in resumable_parts(self.path):
                    shutil.rmtree(part, ignore_errors=True)

    def _write_card(self, extra: Mapping[str, Any]) -> None:
        """Write the card next to the model, in place of PEFT's card."""
        if not self._model:
            return
        from ngdiff.file_names import CARD
        from ngdiff.report.card import model_card  # jinja2 and the hub's client take a while

        name = CARD if self._place == self.path else f"{RUINED}/{CARD}"
        options = self._manifest["config"]
        card = model_card(
            full_path(self.path).name, self._model, options, {**self._manifest, "extra": extra}, __version__
        )
        write_text(self.path / name, card)
        self.outputs += [name] if name not in self.outputs else []
