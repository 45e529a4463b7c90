"""All metrics of an evaluation, from the records of one model and of those it is compared with."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.aggregates import aggregates
from ngdiff.metrics.bootstrap import RESAMPLES, ratio_interval
from ngdiff.metrics.catalogue import key_of
from ngdiff.metrics.draws import DRAWS, Array
from ngdiff.metrics.forget_quality import forget_quality
from ngdiff.metrics.gaffke import Ends, mean_ends
from ngdiff.metrics.levels import check_confidence
from ngdiff.metrics.membership import membership
from ngdiff.metrics.never_seen import never_seen
from ngdiff.metrics.privleak import (
    AUC_RETRAIN,
    PAIR,
    SCORE,
    SPLITS,
    muse_values,
    pair_aucs,
    privleak,
    privleak_interval,
)
from ngdiff.metrics.records import Sets
from ngdiff.metrics.same_rows import check_same_rows
from ngdiff.metrics.sample import Sample, samples_of
from ngdiff.metrics.summary import headline, summarize_samples
from ngdiff.metrics.truth_ratio import has_perturbed
from ngdiff.metrics.utility import PARTS, SETS
from ngdiff.metrics.worst import worst_rows

CONFIDENCE = 0.95  # default level of the intervals

METHOD = {
    "fractions, AUC, model utility, PrivLeak": f"Dirichlet weights with a worst-case value (Gaffke), {DRAWS} draws",
    "loss": f"bootstrap-t, {RESAMPLES} resamples",
    "distance, collateral": f"Dirichlet weights of the rows, {DRAWS} draws",
}

# Top-level keys of `metrics.json` that are not sets.
RESERVED = (
    "verbmem",
    "utility",
    "truth_ratio",
    "model_utility",
    "forget_quality",
    "forget_quality_statistic",
    "membership",
    "privleak",
    "privleak_auc",
    "privleak_retrained",
    "worst_rows",
    "distance",
    "distance_holdout",
    "collateral",
    "aggregates",
    "confidence",
    "lm_eval",
)


def score(
    sets: Sets,
    *,
    retrained: Sets | None = None,
    before: Sets | None = None,
    base: Sets | None = None,
    robustness: float | None = None,
    corpus: str = "news",
    confidence: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The contents of `metrics.json`, from the records of an evaluation; needs no model and no torch.

    Keys, each present if the records allow it:

    - those of `headline`, and one for each set with what `summarize` returns;
    - `forget_quality`, `forget_quality_statistic`: `ngdiff.metrics.forget_quality` of the sets "forget";
    - `membership`: `ngdiff.metrics.membership` of the sets "forget" and "holdout";
    - `privleak_auc`: `pair_aucs` of MUSE's three sets `muse_privleak_*`; `privleak`, in percent, against the model
      named in `privleak_retrained`: {`source`, `auc`, and for a model with records `privleak` by every score whose
      AUC is not 0 there};
    - `distance`, `distance_holdout`, `collateral`: `ngdiff.metrics.never_seen`;
    - `aggregates`: `ngdiff.metrics.aggregates`, if at least one of them is known;
    - `worst_rows`: {set: {metric: [{`index`, `origin`, `value`}, ...]}} of sets to be forgotten, worst first;
    - `confidence`: {`level`, `method`, `seed`, `sets`: {set: {metric: [low, high]}}, `model_utility`, `privleak`,
      `distance`, `distance_holdout`, `collateral`: {set: [low, high]}}: intervals of every mean of at least two
      records, by `gaffke.mean_ends` for fractions and `bootstrap.ratio_interval` for losses; `model_utility` from the
      draws of its nine parts, with independent draws for each set; `privleak` by `privleak_interval`.

    Args:
        sets: Records by set name.
        retrained: Records of a model that never saw the forget set.
        before: Records of the model before unlearning, which gives the unit of both distances.
        base: Records of a model that saw neither the forget nor the holdout set, such as that before fine-tuning.
        robustness: Result of an audit of the model, for the aggregates.
        corpus: "news" or "books": which of MUSE's retrained models is used if `retrained` has no MUSE sets.
        confidence: Level of the intervals; None for no intervals.
        seed: Of the draws.

    Raises:
        InputError: no sets, an empty set, a set with a reserved name, a record that a metric cannot use, or records
            of other rows in a comparison of two models.
    """
    _check(sets, corpus)
    if confidence is not None:
        check_confidence(confidence)
    samples = {name: samples_of(name, records) for name, records in sets.items()}
    numbers = {name: summarize_samples(name, sets[name], own) for name, own in samples.items()}
    result: dict[str, Any] = dict(headline(numbers))
    result.update(_forget_quality(sets, retrained or {}))
    result.update(numbers)
    worst = {name: worst_rows(name, sets[name], own) for name, own in samples.items()}
    if worst := {name: rows for name, rows in worst.items() if rows}:
        result["worst_rows"] = worst
    if sets.get("forget") and sets.get("holdout"):
        result["membership"] = membership(sets["forget"], sets["holdout"], confidence=confidence, seed=seed)
    beside, ends = never_seen(sets, retrained=retrained, before=before, base=base, confidence=confidence, seed=seed)
    result.update(beside)
    result.update(_aggregates(sets, retrained or {}, result, robustness))
    passages, against = _passages(sets), _passages(retrained or {})
    if all(SCORE in side.get(split, {}) for side in (passages, against) for split in PAIR.split("_")):
        for name in (f"muse_privleak_{split}" for split in PAIR.split("_")):
            check_same_rows(sets[name], (retrained or {})[name], f"PrivLeak, by {name},")
    result.update(_privleak(passages, against, corpus))
    if confidence is not None:
        result["confidence"] = {**_intervals(samples, numbers, confidence, seed), **ends}
        if "privleak" in result:
            known = against if result["privleak_retrained"]["source"] == "records" else AUC_RETRAIN[corpus]
            found = privleak_interval(passages, known, confidence=confidence, seed=seed)
            if found is not None:
                result["confidence"]["privleak"] = list(found)
    return result


def _check(sets: Sets, corpus: str) -> None:
    if not sets:
        raise InputError("there are no records to score")
    for name in sets:
        if name in RESERVED:
            raise InputError(f"a set may not be named {name!r}: metrics.json has a number of that name")
    if corpus not in AUC_RETRAIN:
        raise InputError(f"MUSE corpus {corpus!r} is unknown; one of {', '.join(AUC_RETRAIN)}")


def _forget_quality(sets: Sets, retrained: Sets) -> dict[str, float]:
    sides = [[r for r in side.get("forget", ()) if has_perturbed(r)] for side in (sets, retrained)]
    if not all(sides):
        return {}
    own, other = sides
    check_same_rows(own, other, "forget quality")
    found = forget_quality(own, other)
    return {"forget_quality": found.pvalue, "forget_quality_statistic": found.statistic}


def _aggregates(sets: Sets, retrained: Sets, result: Mapping[str, Any], robustness: float | None) -> dict[str, Any]:
    sides = [retrained.get(side, ()) for side in ("forget", "holdout")]
    found = aggregates(
        sets.get("forget", ()),
        result.get("membership", {}),
        membership(*sides) if all(sides) else {},
        result.get("model_utility"),
        robustness,
    )
    known = [found[name] for name in found if name != "utility"]  # `model_utility` is a key of its own
    return {"aggregates": found} if any(value is not None for value in known) else {}


def _passages(sets: Sets) -> dict[str, dict[str, list[float]]]:
    named = {split: sets.get(f"muse_privleak_{split}") for split in SPLITS}
    return {split: muse_values(records) for split, records in named.items() if records}


def _privleak(
    passages: Mapping[str, Mapping[str, Sequence[float]]],
    retrained: Mapping[str, Mapping[str, Sequence[float]]],
    corpus: str,
) -> dict[str, Any]:
    found = pair_aucs(passages)
    if not found:
        return {}
    result: dict[str, Any] = {"privleak_auc": found}
    if SCORE not in found.get(PAIR, {}):
        return result
    known = pair_aucs(retrained).get(PAIR, {})
    if SCORE in known:
        reference: dict[str, Any] = {
            "source": "records",
            "auc": known[SCORE],
            "privleak": {
                name: privleak(found[PAIR][name], known[name])
                for name in known
                if name in found[PAIR] and known[name] > 0
            },
        }
    else:
        reference = {"source": f"MUSE {corpus}, published", "auc": AUC_RETRAIN[corpus]}
    return {"privleak": privleak(found[PAIR][SCORE], reference["auc"]), **result, "privleak_retrained": reference}


def _intervals(
    samples: Mapping[str, Mapping[str, Sample]],
    numbers: Mapping[str, Mapping[str, float]],
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    seeds = {name: [seed, zlib.crc32(name.encode())] for name in samples}
    drawn = {name: _ends(own, seeds[name]) for name, own in samples.items()}
    found: dict[str, dict[str, list[float]]] = {}
    for name, own in samples.items():
        found[name] = {}
        for key, sample in own.items():
            ends = None
            if key in drawn[name]:
                ends = drawn[name][key].interval(confidence)
            elif len(sample.sums) > 1:
                ends = ratio_interval(sample.sums, sample.counts, confidence=confidence, seed=seeds[name])
            if ends is not None:
                found[name][key] = list(ends)
    result: dict[str, Any] = {"level": confidence, "method": METHOD, "seed": seed, "sets": found}
    if "model_utility" in headline(numbers) and all(part in drawn[name] for name in SETS for part in PARTS):
        nine = [drawn[name][key_of(part, drawn[name])] for name in SETS for part in PARTS]
        utility = Ends(_harmonic([one.low for one in nine]), _harmonic([one.high for one in nine]))
        result["model_utility"] = list(utility.interval(confidence))
    return result


def _ends(samples: Mapping[str, Sample], seed: Sequence[int]) -> dict[str, Ends]:
    """Draws of every fraction of a set; metrics over the same number of records share their weights."""
    by_size: dict[int, list[str]] = {}
    for name, sample in samples.items():
        if sample.fraction:
            by_size.setdefault(len(sample.sums), []).append(name)
    found: dict[str, Ends] = {}
    for size, names in by_size.items():
        if size < 2:
            continue
        values = np.asarray([samples[name].sums for name in names], dtype=float).T
        low, high = mean_ends(values, seed=seed)
        found.update({name: Ends(low[:, i], high[:, i]) for i, name in enumerate(names)})
    return found


def _harmonic(draws: Sequence[Array]) -> Array:
    """Harmonic mean for each draw; 0 if one value is 0."""
    with np.errstate(divide="ignore"):
        inverse: Array = np.sum([1 / one for one in draws], axis=0)
    return len(draws) / inverse
