"""Everything that records of one model say, and what they say beside a retrained model's."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ngdiff.errors import InputError
from ngdiff.metrics.auc import auc_interval, check_confidence
from ngdiff.metrics.bootstrap import RESAMPLES, percentile_interval, resampled
from ngdiff.metrics.forget_quality import forget_quality
from ngdiff.metrics.means import harmonic_mean
from ngdiff.metrics.membership import membership
from ngdiff.metrics.privleak import AUC_RETRAIN, PAIR, SCORE, SPLITS, muse_values, pair_aucs, privleak
from ngdiff.metrics.sample import Sample, samples_of
from ngdiff.metrics.summary import headline, summarize_samples
from ngdiff.metrics.truth_ratio import has_perturbed
from ngdiff.metrics.utility import PARTS, SETS

Sets = Mapping[str, Sequence[Mapping[str, Any]]]

CONFIDENCE = 0.95  # level of the intervals, unless said otherwise

# Names at the top of a `metrics.json` that are no sets.
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
    "confidence",
    "lm_eval",
)


def score(
    sets: Sets,
    *,
    retrained: Sets | None = None,
    corpus: str = "news",
    confidence: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The contents of `metrics.json` from the records of an evaluation; no model, no torch.

    Keys, each where the records allow it:

    - those of `headline`, and one per set, what `summarize` gives;
    - `forget_quality`, `forget_quality_statistic`: `ngdiff.metrics.forget_quality` of the sets "forget";
    - `membership`: `ngdiff.metrics.membership` of the sets "forget" and "holdout";
    - `privleak_auc`: `pair_aucs` of MUSE's three sets `muse_privleak_*`; `privleak`, in percent, against the model
      named in `privleak_retrained`: {`source`, `auc`, and for a model with records `privleak` by every score whose
      AUC is not 0 there};
    - `confidence`: {`level`, `method`, `seed`, `sets`: {set: {metric: [low, high]}}, `model_utility`, `privleak`}:
      percentile bootstrap of every mean of at least two records (`bootstrap.resampled`), sets resampled
      independently of each other; PrivLeak from the interval of its AUC, with that of the retrained model taken
      as known.

    Args:
        sets: records by set name.
        retrained: those of a model that never saw the forget set.
        corpus: "news" or "books": which of MUSE's retrained models stands in where `retrained` has no MUSE sets.
        confidence: level of the intervals; None: none.
        seed: of the bootstrap.

    Raises:
        InputError: no sets, an empty one, a set with a name of another number, or a record that a metric cannot
            use.
    """
    _check(sets, corpus)
    if confidence is not None:
        check_confidence(confidence)
    samples = {name: samples_of(name, records) for name, records in sets.items()}
    numbers = {name: summarize_samples(name, sets[name], own) for name, own in samples.items()}
    result: dict[str, Any] = dict(headline(numbers))
    result.update(_forget_quality(sets, retrained or {}))
    result.update(numbers)
    if sets.get("forget") and sets.get("holdout"):
        result["membership"] = membership(sets["forget"], sets["holdout"], confidence=confidence)
    passages = _passages(sets)
    result.update(_privleak(passages, _passages(retrained or {}), corpus))
    if confidence is not None:
        result["confidence"] = _intervals(samples, numbers, confidence, seed)
        if "privleak" in result:
            sizes = [len(passages[split][SCORE]) for split in ("forget", "holdout")]
            ends = auc_interval(result["privleak_auc"][PAIR][SCORE], *sizes, confidence=confidence)
            known = result["privleak_retrained"]["auc"]
            result["confidence"]["privleak"] = [privleak(end, known) for end in ends]
    return result


def _check(sets: Sets, corpus: str) -> None:
    if not sets:
        raise InputError("there are no records to score")
    for name in sets:
        if name in RESERVED:
            raise InputError(f"a set may not be named {name!r}: a number of that name stands beside the sets")
    if corpus not in AUC_RETRAIN:
        raise InputError(f"MUSE corpus {corpus!r} is unknown; one of {', '.join(AUC_RETRAIN)}")


def _forget_quality(sets: Sets, retrained: Sets) -> dict[str, float]:
    sides = [[r for r in side.get("forget", ()) if has_perturbed(r)] for side in (sets, retrained)]
    if not all(sides):
        return {}
    found = forget_quality(*sides)
    return {"forget_quality": found.pvalue, "forget_quality_statistic": found.statistic}


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
    drawn = {name: _distributions(own, [seed, zlib.crc32(name.encode())]) for name, own in samples.items()}
    result: dict[str, Any] = {
        "level": confidence,
        "method": f"percentile bootstrap, {RESAMPLES} resamples",
        "seed": seed,
        "sets": {
            name: {key: list(percentile_interval(values, confidence=confidence)) for key, values in own.items()}
            for name, own in drawn.items()
        },
    }
    if "model_utility" in headline(numbers) and all(part in drawn[name] for name in SETS for part in PARTS):
        nine = np.stack([drawn[name][part] for name in SETS for part in PARTS], axis=1)
        utilities = np.asarray([harmonic_mean(row, "model utility") for row in nine.tolist()])
        result["model_utility"] = list(percentile_interval(utilities, confidence=confidence))
    return result


def _distributions(samples: Mapping[str, Sample], seed: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Bootstrap distribution of every metric of a set; metrics over as many records share their draws."""
    by_size: dict[int, list[str]] = {}
    for name, sample in samples.items():
        by_size.setdefault(len(sample.sums), []).append(name)
    found: dict[str, NDArray[np.float64]] = {}
    for size, names in by_size.items():
        if size < 2:
            continue
        sums, counts = (
            np.asarray([getattr(samples[name], part) for name in names], dtype=float).T for part in ("sums", "counts")
        )
        found.update(zip(names, resampled(sums, counts, seed=seed).T, strict=True))
    return found
