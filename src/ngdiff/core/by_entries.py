"""Combination by entries: for each entry, a rule chooses which gradients count before the two are added.

The other kind, a weighted sum of whole gradients, is that of all weightings on the Gramian. A rule of entries needs
both gradients at once but no sum over them, so that each process works on the shards that it holds.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ngdiff.core.inner_products import Gradient, common_device
from ngdiff.core.shards import local, sum_over_shards

# From a part of the retain and of the forget gradient, of one shape and on one device, to two masks: where the entries
# of either count. All other entries are 0 in the sum.
EntryRule = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# Entries that are processed together: masks of a whole embedding would need as much memory as its gradient.
_CHUNK = 1 << 22


@torch.no_grad()
def choose_entries(g_r: Gradient, g_f: Gradient, rule: EntryRule) -> tuple[float, float]:
    """Set the entries that a rule leaves out to 0, in place.

    Args:
        g_r: Retain gradient, one tensor or None per parameter; None is 0 everywhere.
        g_f: Forget gradient of the *minimised* forget loss, same order and shards. One of the two may have fewer bits
            or wait on the host.
        rule: Says whose entries count.

    Returns:
        Of the entries in which either gradient is not 0, the parts in which the retain and the forget gradient count,
        over all shards; (0, 0) where there are none.

    Example:
        >>> r, f = torch.tensor([1.0, -2.0, 3.0, 0.0]), torch.tensor([5.0, 6.0, -7.0, 0.0])
        >>> retain, forget = choose_entries([r], [f], lambda r, f: (r < 0, r >= 0))
        >>> r.tolist(), f.tolist(), round(retain, 2), round(forget, 2)
        ([0.0, -2.0, 0.0, 0.0], [5.0, 0.0, -7.0, 0.0], 0.33, 0.67)
    """
    owners: list[Tensor] = []
    counts: list[Tensor] = []
    for r, f in zip(g_r, g_f, strict=True):
        owner = r if r is not None else f
        if owner is None:
            continue
        place = common_device(r, f)
        for part_r, part_f in zip(_chunks(r, like=owner), _chunks(f, like=owner), strict=True):
            counts.append(_choose(part_r, part_f, rule, place))
            owners.append(owner)
    moving, retain, forget = sum_over_shards(counts, owners) if counts else (0.0, 0.0, 0.0)
    return (retain / moving, forget / moving) if moving else (0.0, 0.0)


def _choose(r: Tensor | None, f: Tensor | None, rule: EntryRule, place: torch.device) -> Tensor:
    """(3,) int64: entries that move, and how many of them are the retain and the forget gradient's."""
    given = [None if g is None else g.to(place) for g in (r, f)]
    zero = torch.zeros_like(next(g for g in given if g is not None))
    here_r, here_f = (zero if g is None else g for g in given)
    moving = (here_r != 0) | (here_f != 0)
    masks = rule(here_r, here_f)
    for own, mask in zip((r, f), masks, strict=True):
        if own is not None:
            own.masked_fill_(~mask.to(own.device), 0.0)
    return torch.stack([moving.sum(), *((mask & moving).sum() for mask in masks)])


def _chunks(gradient: Tensor | None, *, like: Tensor) -> Sequence[Tensor | None]:
    """The own part of a gradient, in views of whole rows; as many Nones as `like` has views where there is none."""
    shape = local(like).shape
    rows = max(1, _CHUNK // max(1, shape[1:].numel())) if shape else 1
    if gradient is None:
        return [None] * (max(1, -(-shape[0] // rows)) if shape else 1)
    return local(gradient).split(rows) if shape else (local(gradient),)
