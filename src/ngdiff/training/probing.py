"""Probes of the learning rate in a run: when they are due, and which retain rows they use."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from ngdiff.core import AutoLR, Probe
from ngdiff.data.progress import counted
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.pairing import Pair, PairDataset, PairSampler

logger = logging.getLogger(__name__)

Batch = Mapping[str, Tensor]


@dataclass
class Prober:
    """Probes the learning rate of a run.

    Args:
        autolr: How the rate is found.
        args: Options of the run.
        sampler: Gives the order of the retain rows.
        pairs: Rows of pairs.
        collate: Makes a batch of each side from rows of pairs.
        rereads: Whether a step's pass computes the same function as a probe (no dropout, say), so that its loss serves.
    """

    autolr: AutoLR
    args: UnlearnConfig
    sampler: PairSampler
    pairs: PairDataset
    collate: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Batch]]
    rereads: bool
    _own: list[Batch] = field(default_factory=list)
    _searched: bool = False
    _announced: bool = False  # a step without a direction is searched again

    def resume(self, probes: Sequence[Mapping[str, Any]]) -> None:
        """Continue after these probes: the search is done if one of them had a direction."""
        self._searched = any(probe.get("fits", True) for probe in probes)

    def is_due(self, step: int) -> bool:
        """Whether step number `step`, counted from 1, starts with a probe."""
        return self.args.autolr and (self._searches() or self.autolr.is_due(step))

    def _searches(self) -> bool:
        """Whether the scale of the rate is still to be found: no step so far had a direction to search along."""
        return self.autolr.settings.search and not self._searched

    def see(self, batch: Batch, step: int) -> None:
        """Keep a retain micro-batch of a step for its probe, if `--autolr-batch same` asks for it."""
        if self.args.autolr_batch == "same" and self.is_due(step):
            self._own.append(batch)

    def probe(
        self,
        optimizer: Optimizer,
        step: int,
        loss: Callable[[Sequence[Batch]], float],
        *,
        step_loss: float | None,
        may_rise: bool = True,
    ) -> Probe:
        """Set the optimizer's learning rate.

        Args:
            optimizer: With final gradients.
            step: Number of the step.
            loss: Of batches at the current weights.
            step_loss: That of the step's own rows, if its passes computed it.
            may_rise: Whether the probe may raise the rate; a search may.
        """
        same = bool(self._own)
        batches = self._own or self.fresh_batches(step)
        self._own = []
        search = self._searches()
        if search and not self._announced:
            logger.info("Searching for the learning rate along step %d ...", step)
            self._announced = True
        with counted("searching for the learning rate", shown=search and self.args.shows_bars, unit="loss") as count:

            def counted_loss() -> float:
                found = loss(batches)
                count()
                return found

            probe = self.autolr.probe(
                optimizer,
                counted_loss,
                search=search,
                here=step_loss if same and self.rereads else None,
                may_rise=may_rise,
            )
        if probe.fits:
            self._searched = True
            if search and not probe.accepted:
                logger.warning(
                    "Step %d: the search found no learning rate (%s): %.2g is used, at which the step changes the "
                    "weights by %.2g of their length.",
                    step,
                    probe.reason,
                    probe.after,
                    probe.after * probe.relative_step,
                )
        return probe

    def fresh_batches(self, step: int) -> list[Batch]:
        """Retain rows of a probe, and protected ones beside them: those of the next step, as in GeN's own code.

        The rows that gave the gradient would make the step look better than it is. Within one pass over the retain rows
        the next ones are all different from them.
        """
        count = self.args.rows_per_step
        own = slice(self.args.process_index, None, self.args.world_size)
        retain = self.sampler.retain_rows(step * count, count)[own]
        protect = self.sampler.protected_rows(step * count, count)[own]
        rows = [self.pairs[Pair(None, retain=row, protect=beside)] for row, beside in zip(retain, protect, strict=True)]
        size = self.args.train_batch_size
        return [self.collate(rows[start : start + size])["retain"] for start in range(0, len(rows), size)]


def figures_of(probe: Probe) -> dict[str, float]:
    """The numbers of a probe for the step's log line."""
    figures = {"autolr/accepted": float(probe.accepted), "autolr/forwards": float(probe.forwards)}
    if probe.fits:
        last = probe.fits[-1]
        figures |= {"autolr/rho": last.rho, "autolr/slope": last.slope, "autolr/curvature": last.curvature}
    return figures
