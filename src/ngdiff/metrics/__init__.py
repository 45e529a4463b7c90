"""Metrics: records in, numbers out. No model, no file, no torch."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.metrics.auc import auc, auc_interval
    from ngdiff.metrics.bootstrap import ratio_interval
    from ngdiff.metrics.catalogue import FORGOTTEN, METRICS, UNICODE, Metric, key_of, metrics_of
    from ngdiff.metrics.classification import accuracies
    from ngdiff.metrics.distance import Distance, RowValues, distance_from_holdout
    from ngdiff.metrics.forget_quality import ForgetQuality, forget_quality
    from ngdiff.metrics.gaffke import mean_interval
    from ngdiff.metrics.means import harmonic_mean, mean
    from ngdiff.metrics.membership import membership
    from ngdiff.metrics.memorisation import exact_memorisations, extraction_strengths
    from ngdiff.metrics.muse import cut_answer
    from ngdiff.metrics.privleak import AUC_RETRAIN, muse_values, pair_aucs, privleak
    from ngdiff.metrics.probability import (
        choice_probabilities,
        choice_probability,
        loss,
        losses,
        probabilities,
        probability,
    )
    from ngdiff.metrics.rouge import rouge, rouge_l_recall, rouge_l_recalls
    from ngdiff.metrics.row_values import base_row_values, row_values
    from ngdiff.metrics.score import CONFIDENCE, score
    from ngdiff.metrics.summary import headline, summarize
    from ngdiff.metrics.truth_ratio import (
        forget_truth_ratio,
        forget_truth_ratio_arithmetic,
        retain_truth_ratio,
        retain_truth_ratio_arithmetic,
        truth_ratios,
    )
    from ngdiff.metrics.utility import model_utility
    from ngdiff.metrics.worst import watched

__all__ = [
    "AUC_RETRAIN",
    "CONFIDENCE",
    "FORGOTTEN",
    "METRICS",
    "UNICODE",
    "Distance",
    "ForgetQuality",
    "Metric",
    "RowValues",
    "accuracies",
    "auc",
    "auc_interval",
    "base_row_values",
    "choice_probabilities",
    "choice_probability",
    "cut_answer",
    "distance_from_holdout",
    "exact_memorisations",
    "extraction_strengths",
    "forget_quality",
    "forget_truth_ratio",
    "forget_truth_ratio_arithmetic",
    "harmonic_mean",
    "headline",
    "key_of",
    "loss",
    "losses",
    "mean",
    "mean_interval",
    "membership",
    "metrics_of",
    "model_utility",
    "muse_values",
    "pair_aucs",
    "privleak",
    "probabilities",
    "probability",
    "ratio_interval",
    "retain_truth_ratio",
    "retain_truth_ratio_arithmetic",
    "rouge",
    "rouge_l_recall",
    "rouge_l_recalls",
    "row_values",
    "score",
    "summarize",
    "truth_ratios",
    "watched",
]

make_lazy(__name__)
