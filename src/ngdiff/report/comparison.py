"""The content of a page on several runs: plain data, which the templates show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.report.compared_table import Table, page_table
from ngdiff.report.curve_charts import Named, compared_curves
from ngdiff.report.entries import BEFORE, MODEL, RETRAINED, Entry
from ngdiff.report.logs import Log
from ngdiff.report.method_words import method_in_words
from ngdiff.report.probe_charts import probe_chart
from ngdiff.report.svg import Chart
from ngdiff.report.tradeoff import Tradeoff, tradeoff
from ngdiff.scoring.compare import Comparison, compare
from ngdiff.scoring.groups import compare_groups, group_of
from ngdiff.scoring.quantities import at, head, in_force, quantities

MOST_PROBES = 6
LIMITS = (
    "One number hides others: a model that answers “I do not know” has no Verbmem and may hold all it knew, which "
    "extraction strength and D show.",
    "Intervals of single runs say how far a number would move with other rows of the same kind; those of means say how "
    "far with other seeds.",
    "Which method is best here need not be best on another model, other rows or another size of the forget set.",
)


@dataclass(frozen=True)
class Setup:
    """How a run was made. `rows`: of the forget set, with the beginning of their hash."""

    name: str
    words: str
    seed: str
    rows: str


@dataclass(frozen=True)
class ComparisonPage:
    """Several runs.

    Attributes:
        title: Of the page.
        level: Of the intervals; empty for none.
        short: The table of what counts, runs that differ by their seed alone as one row.
        runs: The same of single runs, where some were grouped.
        all: Every number.
        tradeoff: The cost of forgetting; None where too few runs have the numbers.
        curves: Over the steps.
        not_drawn: Groups that the curves leave out.
        probes: The loss along the direction of a step.
        setups: How the runs were made.
        notes: On the numbers.
        limits: What the page does not prove.
    """

    title: str
    level: str
    short: Table
    runs: Table | None
    all: Table
    tradeoff: Tradeoff | None
    curves: list[Chart]
    not_drawn: list[str]
    probes: list[Chart]
    setups: list[Setup]
    notes: list[str]
    limits: Sequence[str]


def comparison(entries: Sequence[Entry], notes: Sequence[str] = ()) -> ComparisonPage:
    """The page of several runs.

    Args:
        entries: Of `ngdiff.report.entries.read_entries`.
        notes: On their numbers.

    Raises:
        InputError: numbers that cannot be used.
    """
    metrics = {entry.name: entry.metrics for entry in entries}
    tables = _Tables(entries)
    first = head(in_force(quantities(list(metrics.values())), list(metrics.values())))
    keys = [quantity.key for quantity in first] or None
    groups, every = (tables.compared(compare_groups, own) for own in (keys, ["all"]))
    logs = [Named(group_of(entry.name), entry.log) for entry in entries]
    curves, not_drawn = compared_curves(logs)
    level = next((one for own in metrics.values() if (one := at(own, ("confidence", "level"))) is not None), None)
    return ComparisonPage(
        title=f"Comparison of {len(entries)} runs",
        level="" if level is None else f"{100 * level:g} %",
        short=tables.of(compare_groups, keys),
        runs=tables.of(compare, keys) if any(size > 1 for size in groups.sizes) else None,
        all=tables.of(compare_groups, ["all"]),
        tradeoff=tradeoff(every, tables.roles),
        curves=curves,
        not_drawn=not_drawn,
        probes=_probes(logs),
        setups=[_setup(entry) for entry in entries if entry.run is not None],
        notes=[note.removeprefix("note: ") for note in (*groups.notes, *notes, *_unlike(entries))],
        limits=LIMITS,
    )


class _Tables:
    """The tables of some entries, of which the model before unlearning is never the best."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._metrics = {entry.name: entry.metrics for entry in entries}
        self._rivals = {entry.name: entry.metrics for entry in entries if entry.role != BEFORE} or self._metrics
        self._references = [entry.name for entry in entries if entry.role == RETRAINED]
        own = {entry.name: entry.role for entry in entries if entry.role != MODEL}
        self.roles = {group_of(name): role for name, role in own.items()} | own
        self._by_name = {group_of(name): numbers for name, numbers in self._metrics.items()} | self._metrics

    def compared(self, make: Callable[..., Comparison], keys: list[str] | None) -> Comparison:
        """All of them, by `compare` or `compare_groups`."""
        return make(self._metrics, metrics=keys, references=self._references)

    def of(self, make: Callable[..., Comparison], keys: list[str] | None) -> Table:
        """The same as the table of a page."""
        known = [one.key for one in quantities(list(self._rivals.values()))]
        some = None if keys is None else [key for key in keys if key in known or key == "all"]
        rivals = make(self._rivals, metrics=some or None, references=self._references)
        return page_table(self.compared(make, keys), rivals, self._by_name, self.roles)


def _probes(logs: Sequence[Named]) -> list[Chart]:
    """Of the first run of each group."""
    first: dict[str, Log] = {}
    for run in logs:
        first.setdefault(run.group, run.log)
    charts = [probe_chart(log, group) for group, log in first.items()]
    return [chart for chart in charts if chart is not None][:MOST_PROBES]


def _setup(entry: Entry) -> Setup:
    assert entry.run is not None
    options, manifest = entry.run.options, entry.run.manifest
    forgot = manifest["data"].get("forget")
    words = method_in_words(options, manifest["extra"]) if forgot else [f"ngdiff {entry.run.command}."]
    rows = "-" if forgot is None else f"{forgot['rows']} ({forgot['rows_sha256'][:12]})"
    return Setup(entry.name, " ".join(words), str(manifest["seed"]), rows)


def _unlike(entries: Sequence[Entry]) -> list[str]:
    """Notes on numbers of different rows that are shown side by side, by the hashes of the rows."""
    notes = []
    for role in ("forget", "retain", "holdout"):
        hashes: dict[str, list[str]] = {}
        for entry in entries:
            own = _data(entry).get(role)
            if own is not None:
                hashes.setdefault(str(own["rows_sha256"]), []).append(entry.name)
        if len(hashes) > 1:
            sets = "; ".join(", ".join(names) for names in hashes.values())
            notes.append(f"{role} rows differ by their hashes between these runs, whose numbers do not compare: {sets}")
    return notes


def _data(entry: Entry) -> Mapping[str, Any]:
    source = entry.evaluation or entry.run
    return {} if source is None else source.manifest.get("data", {})
