"""Every number that a table can show: its place in `metrics.json`, its title, and the direction that is better."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics import UNICODE, metrics_of, watched
from ngdiff.metrics.collateral import PROTECTED
from ngdiff.metrics.row_statistics import MEASURES
from ngdiff.metrics.worst import ABOVE, COUNT, MAX

Metrics = Mapping[str, Any]

# Shown only on request: easily confused with the usual form of the metric.
LEFT_OUT = {"truth_ratio_arithmetic", "exact_memorisation_with_end", "extraction_strength_with_end"}
# The first lines of a table, if an evaluation has several of them.
HEAD = (
    "forget.rouge_l_recall",
    "forget.extraction_strength",
    "distance",
    "distance_holdout",
    "retain.rouge_l_recall",
    *(f"collateral.{name}" for name in PROTECTED),
)
# Short names on the command line; over Unicode words where the texts need that.
ALIASES = {"verbmem": "forget.rouge_l_recall", "utility": "retain.rouge_l_recall"}
# Results of lm-evaluation-harness; `ngdiff evaluate` shows them in the harness's own format.
ABILITIES = "general abilities"
# D against a retrained model, and against holdout rows.
DISTANCES = {"distance": "D (retrained)", "distance_holdout": "D (holdout)"}
# Whether membership inference can distinguish forget rows from holdout rows.
MEMBERSHIP = "forget or holdout?"
# Distance from a model that never saw the rows, and its cost.
NEVER_SEEN = "as if never seen"
# Harmonic means (`ngdiff.metrics.aggregates`).
AGGREGATES = "aggregates"
# One membership score of each kind; Min-20 % is the authors' choice of K.
_MEMBERSHIP = ("loss", "loss/zlib", "loss-reference", "min-20%", "min-20%++", "grad-norm")


class Quantity(NamedTuple):
    """One number of an evaluation.

    `path`: the keys that lead to it in `metrics.json`; `interval`: those that lead to its confidence interval. `group`:
    its set, or the part of the table. `better`: the direction that is better; a number is a target, to which nearer is
    better; None: no direction is better.
    """

    group: str
    title: str
    better: Literal["lower", "higher"] | float | None
    path: tuple[str, ...]
    interval: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name on the command line and in CSV, such as `forget.loss`."""
        path = self.path[:-1] if self.path[0] in ("membership", *DISTANCES) else self.path
        if path[0] in DISTANCES:  # its parts: distance.loss
            path = tuple(name for name in path if name != "parts")
        return ".".join(path).removesuffix(",none").replace(",", ":")  # a comma separates keys

    def value(self, metrics: Metrics) -> float | None:
        """The number; None if the evaluation lacks it.

        Raises:
            InputError: the value is not a number.
        """
        found = at(metrics, self.path)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
            raise InputError(f"{self.key} is not a number but {type(found).__name__}")
        return found

    def badness(self, value: float, marks: Sequence[float] = ()) -> float | None:
        """A number that is lower for better values; None if no direction is better.

        Args:
            marks: Targets; if there are any, values nearer to their range are better.
        """
        if marks:
            return max(min(marks) - value, value - max(marks), 0.0)
        if self.better is None:
            return None
        if isinstance(self.better, str):
            return value if self.better == "lower" else -value
        return abs(value - self.better)


def quantities(evaluations: Sequence[Metrics]) -> list[Quantity]:
    """The quantities that at least one evaluation has, sets first, in order of appearance."""
    found: list[Quantity] = []
    for name in set_names(evaluations):
        for key, metric in metrics_of(name).items():
            path = (name, key)
            found.append(Quantity(name, metric.title, metric.better, path, ("confidence", "sets", *path)))
            if key in watched(name):
                found += [
                    Quantity(name, f"{metric.title}, worst row", metric.better, (name, key + MAX), ()),
                    Quantity(name, f"{metric.title}, rows > {ABOVE}", metric.better, (name, key + COUNT), ()),
                ]
    found += [
        Quantity("all", "model utility", "higher", ("model_utility",), ("confidence", "model_utility")),
        Quantity("all", "forget quality", "higher", ("forget_quality",), ()),
        Quantity("all", "PrivLeak %", 0.0, ("privleak",), ("confidence", "privleak")),
    ]
    for score in _scores(evaluations):
        path = ("membership", score)
        found.append(
            Quantity(MEMBERSHIP, f"AUC {score}", 0.5, (*path, "auc"), (*path, "interval")),
        )
    found += [
        Quantity(NEVER_SEEN, title, "lower", (key, "value"), ("confidence", key)) for key, title in DISTANCES.items()
    ]
    for key, title in DISTANCES.items():
        for name in MEASURES:  # 1 before unlearning, 0 at the reference, negative beyond it
            found.append(Quantity(f"{title} by measure", f"{title}: {name}", 0.0, (key, "parts", name, "value"), ()))
    for name in PROTECTED:
        path = ("collateral", name)
        found.append(Quantity(NEVER_SEEN, f"collateral ({name}), nats", "lower", path, ("confidence", *path)))
    found += [
        Quantity(AGGREGATES, f"{name.capitalize()} score", "higher", ("aggregates", name), ())
        for name in ("memorisation", "privacy", "robustness")
    ]
    found += _abilities(evaluations)
    return [one for one in found if any(one.value(metrics) is not None for metrics in evaluations)]


def _abilities(evaluations: Iterable[Metrics]) -> list[Quantity]:
    """The numbers of lm-evaluation-harness by task, without their standard errors."""
    tables = [metrics.get("lm_eval") for metrics in evaluations]
    tasks = [item for table in tables if isinstance(table, Mapping) for item in table.items()]
    paths = dict.fromkeys((task, name) for task, own in tasks if isinstance(own, Mapping) for name in own)
    return [
        Quantity(ABILITIES, f"{task} {name.removesuffix(',none')}", _way(name), ("lm_eval", task, name), ())
        for task, name in paths
        if "_stderr" not in name
    ]


def _way(name: str) -> Literal["lower", "higher"] | None:
    """The better direction of a metric of the harness, by its name; None if unknown."""
    if name.startswith(("acc", "exact_match", "f1", "em,", "mcc", "bleu", "rouge", "pass@")):
        return "higher"
    return "lower" if "perplexity" in name or name.startswith("bits_per_byte") else None


def head(found: Sequence[Quantity]) -> list[Quantity]:
    """The quantities of `HEAD`, in its order, each followed by its variant over Unicode words if there is one."""
    by_key = {quantity.key: quantity for quantity in found}
    return [by_key[key] for name in HEAD for key in (name, name + UNICODE) if key in by_key]


def full_title(quantity: Quantity) -> str:
    """The title, followed by the set unless the title implies it.

    >>> full_title(Quantity("forget", "loss", "higher", ("forget", "loss"), ()))
    'loss (forget)'
    >>> full_title(Quantity("forget", "Verbmem", "lower", ("forget", "rouge_l_recall"), ()))
    'Verbmem'
    """
    own = quantity.title[:1].isupper() or quantity.group in (MEMBERSHIP, NEVER_SEEN)
    return quantity.title if own else f"{quantity.title} ({quantity.group})"


def is_shown(quantity: Quantity) -> bool:
    """Whether the table of an evaluation shows the quantity by default."""
    if quantity.group == ABILITIES:
        return False
    if quantity.path[0] == "membership":
        return quantity.path[1] in _MEMBERSHIP
    return quantity.path[-1] not in LEFT_OUT


def in_force(found: Sequence[Quantity], evaluations: Sequence[Metrics]) -> list[Quantity]:
    """The quantities without those that every evaluation also has over Unicode words, because `rouge_score` does not
    support their script."""

    def replaced(quantity: Quantity) -> bool:
        better = (*quantity.path[:-1], quantity.path[-1] + UNICODE)
        return all(at(one, better) is not None for one in evaluations if quantity.value(one) is not None)

    return [quantity for quantity in found if not replaced(quantity)]


def set_names(evaluations: Iterable[Metrics]) -> list[str]:
    """The sets of all evaluations, in order of appearance."""
    return list(dict.fromkeys(name for metrics in evaluations for name, value in metrics.items() if is_set(value)))


def is_set(value: object) -> bool:
    """Whether an entry of `metrics.json` holds the numbers of a set."""
    return isinstance(value, Mapping) and "n" in value


def numbers_of(metrics: Metrics, name: str) -> Mapping[str, Any]:
    """The numbers of a set; empty if the evaluation lacks it."""
    found = metrics.get(name)
    return found if isinstance(found, Mapping) and is_set(found) else {}


def at(metrics: Metrics, path: Sequence[str]) -> Any:
    """The value at a path of keys; None if one of them is missing."""
    found: Any = metrics if path else None
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def arrow(better: Literal["lower", "higher"] | float | None) -> str:
    """`↓`: lower is better; `↑`: higher; `→0.5`: nearer to 0.5; empty for no direction."""
    if better is None:
        return ""
    if isinstance(better, str):
        return "↓" if better == "lower" else "↑"
    return f"→{better:g}"


def shown(value: float | None) -> str:
    """A number with four decimals, or in scientific notation if too small for them; integers as they are; `-` for None.

    >>> shown(0.5), shown(0.0), shown(1.25e-20), shown(3), shown(None)
    ('0.5000', '0.0000', '1.2e-20', '3', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1e}" if 0 < abs(value) < 0.00005 else f"{value:.4f}"


def shown_interval(ends: Sequence[float] | None) -> str:
    """Both ends as in `shown`, rounded outwards, so that the interval shown contains the exact one; `-` for None.

    >>> shown_interval([0.83156, 1.0]), shown_interval([0.999999, 0.9999999])
    ('[0.8315, 1.0000]', '[0.9999, 1.0000]')
    """
    if ends is None:
        return "-"
    low, high = (
        shown(end)
        if not 0.00005 <= abs(end) < 1e15
        else f"{Decimal(repr(float(end))).quantize(Decimal('0.0001'), way):f}"
        for end, way in zip(ends, (ROUND_FLOOR, ROUND_CEILING), strict=True)
    )
    return f"[{low}, {high}]"


def _scores(evaluations: Iterable[Metrics]) -> list[str]:
    tables = [metrics.get("membership") for metrics in evaluations]
    return list(dict.fromkeys(name for table in tables if isinstance(table, Mapping) for name in table))
