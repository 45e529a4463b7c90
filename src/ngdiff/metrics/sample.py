"""The values behind a mean, kept for its confidence interval."""

from collections.abc import Sequence
from typing import NamedTuple

from ngdiff.metrics.catalogue import metrics_of
from ngdiff.metrics.means import ratio_of_sums
from ngdiff.metrics.records import Records


class Sample(NamedTuple):
    """One metric of one set: for each record, a sum over its units and their number (1 for a plain mean).

    `fraction`: all sums lie in [0, 1] and all counts are 1.
    """

    title: str
    sums: Sequence[float]
    counts: Sequence[float]
    fraction: bool = False

    def mean(self) -> float:
        """`sum(sums) / sum(counts)`.

        Raises:
            InputError: no records, or a value that is not finite.
        """
        return ratio_of_sums(self.sums, self.counts, self.title)


def samples_of(set_name: str, records: Records) -> dict[str, Sample]:
    """The sample of every metric of the set, over the records to which it applies, which may be none."""
    found = {}
    for name, metric in metrics_of(set_name).items():
        usable = [record for record in records if metric.applies(record)]
        if metric.wanted is not None and not metric.wanted(usable):
            continue
        counts = metric.counts(usable) if metric.counts else [1] * len(usable)
        found[name] = Sample(metric.title, metric.values(usable), counts, metric.fraction and metric.counts is None)
    return found
