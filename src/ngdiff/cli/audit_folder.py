"""The output folder of an audit: `audit.json`, a manifest, and finished attacks with their texts in `private/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.audit import Variant
from ngdiff.audit.keep import keep, kept
from ngdiff.cli.options import resolved
from ngdiff.cli.resume import refuse_other_run
from ngdiff.cli.signals import SIGNALS
from ngdiff.evaluation.write import private_folder
from ngdiff.file_names import AUDIT_FILE, PRIVATE
from ngdiff.manifest import write_manifest
from ngdiff.output_folder import check_output, prepare_output
from ngdiff.paths import user_path
from ngdiff.writing import write_json


class AuditFolder:
    """Checked on construction, resumed or emptied by `begin`, completed by `finish`.

    Args:
        words: Arguments of `ngdiff audit`.
        options: With `output`, `overwrite` and `resume`.
        inputs: Models and data sets as typed, which `--overwrite` must not delete.

    Raises:
        InputError: as `ngdiff.output_folder.check_output`.
    """

    def __init__(self, words: Sequence[str], options: Any, inputs: Sequence[str | Path]) -> None:
        self._words, self._options, self._settings = words, options, resolved(options)
        self.path = user_path(options.output, "--output")
        self._where: dict[str, Any] = {
            "overwrite": options.overwrite,
            "resume": options.resume,
            "inputs": inputs,
        }
        self._contents: dict[str, Any] = {}
        check_output(options.output, **self._where)

    def begin(self, *, data: Mapping[str, Any], model: Mapping[str, Any], template: str, seed: int) -> None:
        """After validation of all input: compare with the audit to resume, or empty the folder.

        Raises:
            InputError: `--resume`, but the folder contains another audit.
        """
        if self._options.resume:
            refuse_other_run(self._options.output, self._settings, data=data, model=model, words=self._words)
        self._contents = {"data": data, "model": model, "template": template, "seed": seed}
        prepare_output(self._options.output, **self._where)
        SIGNALS.resumable = True
        self._write_manifest(finished=False)
        private_folder(self.path)

    def kept(self, attack: str, role: str) -> dict[str, Variant] | None:
        """The result of an attack on one of the models; None if it is not finished."""
        return kept(self._file(attack, role))

    def keep(self, attack: str, role: str, forms: Mapping[str, Variant]) -> None:
        """Write a finished attack."""
        keep(self._file(attack, role), forms)

    def finish(self, result: Mapping[str, Any], *, in_time: bool) -> None:
        """Write `audit.json` and the last manifest.

        Args:
            result: For `audit.json`.
            in_time: Whether no attack is left for `--resume` because the time was over.
        """
        write_json(self.path / AUDIT_FILE, result)
        self._write_manifest(finished=in_time)

    def _file(self, attack: str, role: str) -> Path:
        return self.path / PRIVATE / f"{attack}.{role}.json"

    def _write_manifest(self, *, finished: bool) -> None:
        made = [AUDIT_FILE, *(f"{PRIVATE}/{path.name}" for path in (self.path / PRIVATE).glob("*.json"))]
        write_manifest(
            self.path,
            command=["ngdiff", "audit", *self._words],
            config=self._settings,
            **self._contents,
            extra={"finished": finished},
            outputs=[name for name in made if (self.path / name).is_file()],
        )
