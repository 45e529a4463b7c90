"""The result in sentences, for a reader who reads no table."""

from collections.abc import Mapping
from typing import Any

from ngdiff.metrics import key_of
from ngdiff.metrics.worst import ABOVE, COUNT
from ngdiff.plurals import number_of, verb
from ngdiff.report.audit_results import AuditResults
from ngdiff.scoring.quantities import DISTANCES, at, numbers_of, shown_interval

# Sets in neither of the two, in words.
_NEITHER = {"holdout": "the holdout rows", "protect": "the rows to be protected"}
_OTHERS = {"before": "before", "retrained": "a model that never saw them"}
Columns = Mapping[str, Mapping[str, Any]]


def findings(columns: Columns) -> list[str]:
    """Sentences on what is left of the forget set, how near that is to never seen, and the cost of forgetting.

    Args:
        columns: Metrics by `before`, `after` and `retrained`, the first and last where they are known.

    >>> own = {"n": 4, "rouge_l_recall": 0.25, "rouge_l_recall_above_half": 1}
    >>> print(*findings({"before": {"forget": {"n": 4, "rouge_l_recall": 1.0}}, "after": {"forget": own}}), sep="\\n")
    Asked about the 4 rows to be forgotten, the model says 25 % of the words of their answers (before: 100 %).
    Of 1 of these 4 rows it still says more than half.
    """
    after = columns["after"]
    return [
        line
        for line in (
            *_classified(columns),
            _said(columns),
            _above(after),
            *_distances(after),
            _kept(columns),
            *_collateral(after),
        )
        if line
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _recall(metrics: Mapping[str, Any], name: str) -> float | None:
    own = numbers_of(metrics, name)
    return own.get(key_of("rouge_l_recall", own))


def _beside(columns: Columns, name: str) -> str:
    known = {role: _recall(columns[role], name) for role in _OTHERS if role in columns}
    texts = [f"{_OTHERS[role]}: {_percent(value)}" for role, value in known.items() if value is not None]
    return f" ({'; '.join(texts)})" if texts else ""


def _said(columns: Columns) -> str:
    value = _recall(columns["after"], "forget")
    if value is None:
        return ""
    own = numbers_of(columns["after"], "forget")
    answers = verb(_count(own)[0], "its answer", "their answers")
    return (
        f"Asked about the {_units(own)} to be forgotten, the model says {_percent(value)} of the words of {answers}"
        f"{_beside(columns, 'forget')}."
    )


def _above(metrics: Mapping[str, Any]) -> str:
    own = numbers_of(metrics, "forget")
    count = own.get(key_of("rouge_l_recall", own) + COUNT)
    if count is None:
        return ""
    assert ABOVE == 0.5
    n, unit = _count(own)
    if n == 1:
        return f"It {'still says' if count else 'says no'} more than half of that {unit}."
    if not count:
        return f"Of none of these {_units(own)} it says more than half."
    return f"Of {count} of these {_units(own)} it still says more than half."


def _units(own: Mapping[str, Any]) -> str:
    return number_of(*_count(own))


def _count(own: Mapping[str, Any]) -> tuple[int, str]:
    return (own["n_documents"], "document") if "n_documents" in own else (own["n"], "row")


def _distances(metrics: Mapping[str, Any]) -> list[str]:
    found = []
    for key, title in DISTANCES.items():
        value, ends, noise = (at(metrics, path) for path in ((key, "value"), ("confidence", key), (key, "noise")))
        if value is None:
            continue
        interval = "" if ends is None else f" {shown_interval(ends)}"
        within = noise is not None and value <= noise
        told = ", which cannot be told from 0" if within else ""
        found.append(
            f"{title} is {value:.4f}{interval}{told}; 1 is the model before, 0 a model that never saw the rows."
        )
    return found


def _kept(columns: Columns) -> str:
    value = _recall(columns["after"], "retain")
    if value is None:
        return ""
    others = {role: one for role, one in columns.items() if role == "before"}
    beside = _beside({**others, "after": columns["after"]}, "retain")
    return f"Of the answers to be kept it says {_percent(value)}{beside}."


def _classified(columns: Columns) -> list[str]:
    """Sentences on a classifier of images."""
    found = []
    for name, what in {"forget": "to be forgotten", "retain": "to be kept"}.items():
        found_by = ((role, numbers_of(metrics, name).get("accuracy")) for role, metrics in columns.items())
        known = {role: float(value) for role, value in found_by if value is not None}
        if "after" not in known:
            continue
        roles = [role for role in _OTHERS if name == "forget" or role == "before"]
        beside = [f"{_OTHERS[role]}: {_percent(known[role])}" for role in roles if role in known]
        count = number_of(numbers_of(columns["after"], name)["n"], "image")
        others = f" ({'; '.join(beside)})" if beside else ""
        found.append(f"Of the {count} {what}, the model names the right class of {_percent(known['after'])}{others}.")
    return found


def _collateral(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence on each set: damage to one does not stand behind an average, or behind the other set."""
    found = {name: at(metrics, ("collateral", name)) for name in _NEITHER}
    each = "an image" if at(metrics, ("forget", "accuracy")) is not None else "a token"
    return [
        f"The loss of {_NEITHER[name]}, which should not change, has moved by {value:+.3f} nats {each} (above 0: "
        "worse than before)."
        for name, value in found.items()
        if value is not None
    ]


def audit_findings(results: AuditResults | None) -> list[str]:
    """A sentence on what attacks brought back; none without an audit."""
    if results is None:
        return []
    if not results.attacks:
        return ["Attacks were tried, without a reference: what they bring back cannot be told from what they teach."]
    back = [attack.name for attack in results.attacks if attack.verdict]
    tried = ", ".join(attack.name for attack in results.attacks)
    if not back:
        return [
            f"Of the attacks tried ({tried}) none brings back more than out of a model that never saw the rows, beyond "
            "chance."
        ]
    return [f"Attacks bring back more than out of a model that never saw the rows: {', '.join(back)} (tried: {tried})."]
