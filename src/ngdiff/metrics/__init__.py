"""Metrics: records in, numbers out. No model, no file, no torch."""

from ngdiff.metrics.catalogue import METRICS, Metric, metrics_of
from ngdiff.metrics.forget_quality import ForgetQuality, forget_quality
from ngdiff.metrics.means import harmonic_mean, mean
from ngdiff.metrics.probability import (
    choice_probabilities,
    choice_probability,
    loss,
    losses,
    probabilities,
    probability,
)
from ngdiff.metrics.rouge import rouge, rouge_l_recall, rouge_l_recalls
from ngdiff.metrics.summary import headline, summarize
from ngdiff.metrics.truth_ratio import (
    forget_truth_ratio,
    forget_truth_ratio_arithmetic,
    retain_truth_ratio,
    retain_truth_ratio_arithmetic,
    truth_ratios,
)
from ngdiff.metrics.utility import model_utility

__all__ = [
    "METRICS",
    "ForgetQuality",
    "Metric",
    "choice_probabilities",
    "choice_probability",
    "forget_quality",
    "forget_truth_ratio",
    "forget_truth_ratio_arithmetic",
    "harmonic_mean",
    "headline",
    "loss",
    "losses",
    "mean",
    "metrics_of",
    "model_utility",
    "probabilities",
    "probability",
    "retain_truth_ratio",
    "retain_truth_ratio_arithmetic",
    "rouge",
    "rouge_l_recall",
    "rouge_l_recalls",
    "summarize",
    "truth_ratios",
]
