"""Texts side by side: prompt, right answer, and the answer of each model. From records, and only on request."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics.same_rows import same_rows
from ngdiff.metrics.sample import samples_of
from ngdiff.report.folders import Evaluation
from ngdiff.report.scores import Others
from ngdiff.scoring import read_sets
from ngdiff.scoring.quantities import shown

MOST_CHARACTERS = 1_500_000  # of all texts, so that the page stays below 3 MB
_SETS = ("forget", "retain", "holdout")
_KEY = "rouge_l_recall"
Records = Sequence[Mapping[str, Any]]


class Sample(NamedTuple):
    """A row. `answers`: the model's answer, by column title. `value`: recall of the answer, as text."""

    set_name: str
    number: str
    origin: str
    value: str
    prompt: str
    reference: str
    answers: dict[str, str]


class Samples(NamedTuple):
    """`rows`: of each set those of which most is said first. `left_out`: how many there was no room for."""

    rows: list[Sample]
    left_out: int


def samples(evaluation: Evaluation, others: Others) -> Samples:
    """Rows with the models' answers, of at most `MOST_CHARACTERS` in all.

    Raises:
        InputError: no records, damaged ones, or records of the others that are of other rows.
    """
    if not evaluation.has_records:
        raise InputError(f"--include-texts: {evaluation.folder} has no records (private/records_SET.jsonl)")
    sets = read_sets([evaluation.folder])
    beside = {
        role: read_sets([one.folder]) for role, one in others.given().items() if role != "base" and one.has_records
    }
    rows: list[Sample] = []
    for name in sorted(sets, key=lambda name: _SETS.index(name) if name in _SETS else len(_SETS)):
        rows += _of_set(name, sets[name], {role: own[name] for role, own in beside.items() if name in own})
    room, kept = MOST_CHARACTERS, 0
    for row in rows:
        room -= len(row.prompt) + len(row.reference) + sum(map(len, row.answers.values()))
        if room < 0:
            break
        kept += 1
    return Samples(rows[:kept], len(rows) - kept)


def _of_set(name: str, records: Records, others: Mapping[str, Records]) -> list[Sample]:
    aligned = {role: same_rows(records, own, f"the table of {name} texts", role) for role, own in others.items()}
    values = _values(name, records)
    found = []
    for place, record in enumerate(records):
        if record.get("reference") is None:
            continue
        said = {"before": aligned.get("before"), "after": records, "retrained": aligned.get("retrained")}
        answers = {role: _answer(own[place]) for role, own in said.items() if own is not None}
        number, origin = str(record.get("index", place)), str(record.get("origin", ""))
        value = values.get(place)
        sample = Sample(
            name, number, origin, shown(value), str(record.get("prompt", "")), str(record["reference"]), answers
        )
        found.append((-1.0 if value is None else value, sample))
    return [sample for _, sample in sorted(found, key=lambda pair: -pair[0])]


def _answer(record: Mapping[str, Any]) -> str:
    said = record.get("generated")
    return "(none was asked for)" if said is None else said or "(nothing)"


def _values(name: str, records: Records) -> dict[int, float]:
    """Recall by place, by words of Unicode where the set has that."""
    usable = [place for place, record in enumerate(records) if record.get("generated") is not None]
    found = samples_of(name, [records[place] for place in usable])
    own = found.get(f"{_KEY}_unicode", found.get(_KEY))
    if own is None or len(own.sums) != len(usable):
        return {}
    return dict(zip(usable, map(float, own.sums), strict=True))
