"""The output folder of an evaluation, from its checks to its last manifest."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ngdiff.cli.options import resolved
from ngdiff.cli.processes import is_first
from ngdiff.cli.resume import found_done, refuse_other_run
from ngdiff.cli.signals import SIGNALS
from ngdiff.evaluation.journal import Journal
from ngdiff.evaluation.processes import Processes
from ngdiff.evaluation.write import private_folder, write_evaluation
from ngdiff.evidence.requirements import Verdict
from ngdiff.file_names import METRICS_FILE, PRIVATE, records_file
from ngdiff.manifest import now, write_manifest
from ngdiff.output_folder import check_output, prepare_output
from ngdiff.paths import user_path

if TYPE_CHECKING:
    from ngdiff.evaluation import EvaluationResult


class EvaluationFolder:
    """The output folder of an evaluation, if any; only the main process writes.

    The folder is checked on construction. As a context manager it covers the time from the first prediction to the end:
    `begun_by` empties the folder and writes the first manifest; the last manifest is written if the block ends without
    an exception.

    Args:
        words: Arguments of `ngdiff evaluate`.
        options: With `output` and `overwrite`; with `resume` if the evaluation is resumable.
        evaluation: The evaluation (`ngdiff.cli.tasks.Evaluation`).
        always: Further entries of both manifests.

    Attributes:
        verdicts: Results of requirements, for the last manifest.

    Raises:
        InputError: as `ngdiff.output_folder.check_output`.
    """

    def __init__(
        self, words: Sequence[str], options: Any, evaluation: Any, always: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._options, self._evaluation, self._processes = options, evaluation, Processes()
        self._resumable = hasattr(options, "resume")
        self._resume = self._resumable and options.resume
        self.path = None if options.output is None else user_path(options.output, "--output")
        self._where: dict[str, Any] = {
            "overwrite": options.overwrite,
            "resume": self._resume,
            "resumable": self._resumable,
            "inputs": evaluation.inputs,
        }
        self._settings = resolved(options)
        self._words, self._outputs = words, list[str]()
        self._described: dict[str, Any] | None = None
        self._begun: str | None = None
        self._always, self.verdicts = always, list[Verdict]()
        if self.path is not None and is_first():
            check_output(options.output, **self._where)

    @property
    def journal(self) -> Journal:
        """The journal of results, from which an evaluation resumes."""
        kept = self.path if self._resumable else None
        return Journal(None if kept is None else kept / PRIVATE, self._processes.rank)

    def finished(self) -> dict[str, Any] | None:
        """The metrics of an evaluation that `--resume` finds finished, or None; for the main process.

        Raises:
            InputError: as `ngdiff.cli.resume.refuse_other_run`.
        """
        if self.path is None or not self._resume:
            return None
        refuse_other_run(self._options.output, self._settings, **self._contents(), words=self._words)
        if not found_done(self._options.output, self._settings):
            return None
        self.journal.remove()
        finished: dict[str, Any] = json.loads((self.path / METRICS_FILE).read_text(encoding="utf-8"))
        return finished

    def begun_by(self, processes: Processes) -> Self:
        """After validation of all input: empty the folder and write the manifest of an unfinished evaluation."""
        self._processes = processes
        if self.path is not None and self._processes.is_main:
            prepare_output(self._options.output, **self._where)
            SIGNALS.resumable = self._resumable
            self._begun = now()
            self._write_manifest(finished=False)
            private_folder(self.path)
        SIGNALS.resumable = self._resumable and self.path is not None
        return self

    def __enter__(self) -> Self:
        return self

    def write(self, result: "EvaluationResult") -> None:
        """Write records and metrics."""
        if self.path is not None and self._processes.is_main:
            write_evaluation(result, self.path)
            self._outputs += [METRICS_FILE, *(f"{PRIVATE}/{records_file(name)}" for name in result.records)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.path is not None and self._processes.is_main:
            self._write_manifest(finished=True)
            self.journal.remove()

    def _contents(self) -> dict[str, Any]:
        """Data, model and the user's own files for the manifest, described once: files are hashed for it."""
        if self._described is None:
            described = {"data": self._evaluation.data(), "model": self._evaluation.model_files()}
            self._described = {**described, "own": self._evaluation.own}
        return self._described

    def _write_manifest(self, *, finished: bool) -> None:
        assert self.path is not None
        verdicts = {"verdicts": [one.as_json() for one in self.verdicts]} if self.verdicts else {}
        write_manifest(
            self.path,
            command=["ngdiff", "evaluate", *self._words],
            config=self._settings,
            **self._contents(),
            template=self._evaluation.template,
            template_text=self._evaluation.template_text,
            begun=self._begun,
            seed=self._evaluation.seed,
            extra={"finished": finished, "processes": self._processes.size, **self._always, **verdicts},
            outputs=self._outputs,
        )
