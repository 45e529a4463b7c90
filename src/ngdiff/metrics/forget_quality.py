"""Forget quality: can the unlearned model be distinguished from one that never saw the forget set?"""

from typing import NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics.records import Records
from ngdiff.metrics.truth_ratio import log_truth_ratio


class ForgetQuality(NamedTuple):
    """`statistic`: the largest distance between the two distribution functions, in [0, 1]; `pvalue`: the score."""

    statistic: float
    pvalue: float


def forget_quality(unlearned: Records, retrained: Records) -> ForgetQuality:
    """Two-sided two-sample Kolmogorov-Smirnov test between the truth ratios of the forget set under both
    models.

    The test depends only on the order of the values, so `log R` gives the statistic and p-value of `R` and of `1/R`
    without overflow. A p-value near 1 means that the two are indistinguishable. It is often reported as its
    logarithm. Source: TOFU (arXiv 2401.06121) Section 2.2.

    Args:
        unlearned, retrained: Records of the forget set with perturbed answers; the sizes may differ.

    Raises:
        InputError: an empty list, or a record without perturbed answers.
    """
    samples = {"unlearned": unlearned, "retrained": retrained}
    for name, records in samples.items():
        if not records:
            raise InputError(f"forget quality needs records of the {name} model's forget set, found none")
    from scipy.stats import ks_2samp  # takes half a second

    result = ks_2samp(*([log_truth_ratio(record) for record in records] for records in samples.values()))
    return ForgetQuality(float(result.statistic), float(result.pvalue))
