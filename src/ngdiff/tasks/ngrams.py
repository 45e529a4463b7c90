"""How surprising tokens are by the n-grams of other rows: what is hard for a model that learnt only those."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

ORDERS = 3
_PRIOR = 2.0  # weight of the next shorter history, in tokens

Example = Mapping[str, Any]


class NGrams:
    """Unigrams, bigrams and trigrams of encoded rows, each smoothed by the next shorter ones.

    `p_n(w | h) = (count(h w) + m p_{n-1}(w | h')) / (count(h) + m)`, where the history `h` are the n - 1 tokens before
    `w`, `h'` is `h` without its first token, `m` = 2, and `p_0` is uniform.

    Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model".

    Args:
        rows: Encoded rows, with `input_ids`. All tokens are counted, those of prompts, too.
    """

    def __init__(self, rows: Sequence[Example]) -> None:
        ids = [torch.tensor(row["input_ids"], dtype=torch.int64) for row in rows]
        whole = torch.cat(ids)
        self._unknown = int(whole.max()) + 1
        self._total = len(whole)
        self._counted = [
            torch.cat([self._keys(own, n) for own in ids]).unique(return_counts=True) for n in range(1, ORDERS + 1)
        ]

    def surprise(self, row: Example) -> Tensor:
        """(T, 3): `-ln p_n` of the answer tokens of a row, in nats, for n = 1, 2, 3."""
        ids = torch.tensor(row["input_ids"], dtype=torch.int64).clamp(max=self._unknown)
        place = torch.tensor(row["labels"], dtype=torch.int64)[1:].ge(0).nonzero()[:, 0] + 1
        p = torch.full((len(place),), 1 / (self._unknown + 1), dtype=torch.float64)
        found = []
        for n in range(1, ORDERS + 1):
            histories = self._count(ids, place - 1, n - 1) if n > 1 else self._total
            p = (self._count(ids, place, n) + _PRIOR * p) / (histories + _PRIOR)
            found.append(-p.log())
        return torch.stack(found, dim=1).float()

    def _count(self, ids: Tensor, place: Tensor, n: int) -> Tensor:
        """How often the n tokens that end at each place were counted; 0 where the row has fewer before it."""
        keys, counts = self._counted[n - 1]
        if not len(keys):
            return torch.zeros(len(place), dtype=torch.int64)
        own = torch.full((len(ids),), -1)
        own[n - 1 :] = self._keys(ids, n)
        at = torch.searchsorted(keys, own[place]).clamp(max=len(keys) - 1)
        return torch.where(keys[at] == own[place], counts[at], 0)

    def _keys(self, ids: Tensor, n: int) -> Tensor:
        """A number for each n successive tokens."""
        keys = ids.new_zeros(max(len(ids) - n + 1, 0))
        for offset in range(n):
            keys = keys * (self._unknown + 1) + ids[offset : offset + len(keys)]
        return keys
