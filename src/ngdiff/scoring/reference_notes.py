"""Notes on references that hardly know the rows to keep, so that they are not what a retrained model would be."""

from collections.abc import Iterable, Mapping

from ngdiff.metrics.known import UNKNOWN_LOSS
from ngdiff.scoring.quantities import Metrics, at, shown

_TIMES = 2.0  # texts that no model knows by heart have such losses, too, but not so much higher ones in one model


def hardly_knows(reference: float, others: Iterable[float]) -> bool:
    """Whether a mean loss of the retain rows is that of a model that was not trained on them.

    Args:
        reference: Of the reference, in nats.
        others: Of models that were trained on these rows.

    >>> hardly_knows(8.3, [0.2]), hardly_knows(2.6, [2.2]), hardly_knows(0.4, [0.1])
    (True, False, False)
    """
    return reference > UNKNOWN_LOSS and any(reference > _TIMES * other for other in others)


def reference_notes(runs: Mapping[str, Metrics], references: Mapping[str, Metrics]) -> list[str]:
    """Notes below a table: references whose loss on the retain rows is far above that of the runs.

    >>> runs, wrong = {"the model": {"retain": {"n": 9, "loss": 0.2}}}, {"retrained": {"retain": {"n": 9, "loss": 8.3}}}
    >>> reference_notes(runs, wrong)[0][:75]
    'note: retrained hardly knows the retain rows: loss 8.3000, the model 0.2000'
    """
    losses = {name: float(value) for name, one in runs.items() if (value := at(one, ("retain", "loss"))) is not None}
    notes = []
    for name, one in references.items():
        loss = at(one, ("retain", "loss"))
        if loss is None or not hardly_knows(loss, losses.values()):
            continue
        least = min(losses, key=losses.__getitem__)
        notes.append(
            f"note: {name} hardly knows the retain rows: loss {shown(float(loss))}, {least} {shown(losses[least])}; a "
            "model trained without the forget set knows them, so that comparisons with this one mislead"
        )
    return notes
