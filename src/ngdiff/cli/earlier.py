"""`--after`: a run that continues from an earlier result, and all earlier requests to forget."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ngdiff.cli.parsing import option
from ngdiff.cli.reading import READING
from ngdiff.cli.task_option import value_in
from ngdiff.data import Row, Template, check_overlap, read_rows
from ngdiff.errors import InputError
from ngdiff.evidence.chain import Request, Retest, earlier_requests, read_chain, retested
from ngdiff.evidence.seal import read_sealed
from ngdiff.file_names import MANIFEST
from ngdiff.manifest import describe_data
from ngdiff.paths import existing_path, user_path
from ngdiff.plurals import number_of

if TYPE_CHECKING:
    from ngdiff.training import UnlearnTrainer

logger = logging.getLogger(__name__)


@dataclass
class AfterOptions:
    """Which earlier request a run goes on from."""

    after: str | None = option(
        None,
        help="output of an earlier ngdiff unlearn, instead of --model: continues from its model, and measures the "
        "losses of all earlier forget sets again at the end; exit code 6 if one came back",
        value="DIR",
    )


def with_model_of_after(words: Sequence[str]) -> list[str]:
    """The words of a command line with `--model DIR` beside `--after DIR`.

    Raises:
        InputError: both were given.
    """
    found = [*words]
    place = value_in(found, "--after")
    if place is None:
        return found
    if (model := value_in(found, "--model")) is not None:
        raise InputError(f"--after {place} is the model to continue from; omit --model {model}")
    return [*found, f"--model={place}"]


class EarlierRequests:
    """The requests before a run.

    Args:
        after: Value of `--after`; None for a first request.

    Attributes:
        chain: For the manifest; None for a first request.

    Raises:
        InputError: as `ngdiff.evidence.chain.read_chain`.
    """

    def __init__(self, after: str | None) -> None:
        self.chain = None if after is None else read_chain(user_path(after, "--after"))
        self._requests = [] if self.chain is None else earlier_requests({"after": self.chain})
        # By the seal of the request's manifest: a folder's name may have been used again for a later request.
        self._rows: dict[str, list[Row]] = {}
        self._why: dict[str, str] = {}

    @classmethod
    def of_model(cls, model: str) -> "EarlierRequests":
        """The requests before the run that made a model; none if no run of ngdiff made it."""
        found = cls(None)
        path = user_path(model) / MANIFEST
        if path.is_file():
            manifest, fault = read_sealed(path)
            found._requests = [] if fault else earlier_requests(manifest)
        return found

    @property
    def sources(self) -> list[str]:
        """The data files of all requests, which `--overwrite` must not delete."""
        return [one.forget["place"] for one in self._requests if one.forget.get("place")]

    def read(self, template: str, max_length: int | None) -> None:
        """Read the rows of every request whose files are unchanged.

        Args:
            template, max_length: Those of this run: losses with other settings are not comparable.
        """
        for one in self._requests:
            why = self._read(one)
            if not why and (one.template, one.max_length) != (template, max_length):
                why = "its rows were shown by another --template, or cut at another --max-length"
            self._why[one.sha256] = why
            if why:
                logger.warning("--after: the request of %s is not tested again: %s.", one.place, why)

    def read_to_drop(self) -> None:
        """Read the rows of every request whose files are unchanged, for `keep_apart` alone."""
        for one in self._requests:
            if why := self._read(one):
                logger.warning("--drop-overlap: rows of the request of %s may be in --retain: %s.", one.place, why)

    def keep_apart(self, retain: list[Row], *, drop: bool, tokenizer: Any, template: Template) -> list[Row]:
        """The retain set without rows that were to be forgotten earlier.

        Raises:
            InputError: it has some, and `drop` is false; or nothing is left.
        """
        for one in self._requests:
            if one.sha256 not in self._rows:
                continue
            names = (f"the forget set of {one.place}", "--retain")
            retain, dropped = check_overlap(
                self._rows[one.sha256], retain, drop=drop, tokenizer=tokenizer, template=template, names=names
            )
            if dropped:
                rows_of_both = number_of(dropped, "row")
                logger.info("--drop-overlap: %s of --retain left out: also in %s", rows_of_both, names[0])
        return retain

    def take_again(self, trainer: "UnlearnTrainer") -> list[Retest]:
        """Measure the losses of all earlier forget sets under the current model. All processes must call it."""
        found = []
        for one in self._requests:
            loss = None
            if not self._why[one.sha256]:
                rows = self._rows[one.sha256]
                loss = trainer.mean_loss(trainer.task.encode(rows, f"the forget set of {one.place}"))
            found.append(retested(one, loss, self._why[one.sha256]))
        return found

    def _read(self, one: Request) -> str:
        """Read its rows; why that cannot be done, empty if it was."""
        source = one.forget.get("place") or one.forget.get("source")
        if source is None:
            return "its rows were in memory"
        if one.forget.get("place") and existing_path(source) is None:
            return f"{source} is no longer there"
        try:
            rows = read_rows(str(source), role="--forget", **{name: one.forget.get(name) for name in READING})
        except InputError as error:
            return str(error)
        if describe_data(None, rows)["rows_sha256"] != one.forget["rows_sha256"]:
            return f"{source} does not hold the rows that it held"
        self._rows[one.sha256] = rows
        return ""
