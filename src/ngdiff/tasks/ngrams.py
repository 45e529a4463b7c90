"""How surprising tokens are by the n-grams of other rows: what is hard for a model that learnt only those."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ORDERS = 3
_PRIOR = 2.0  # weight of the next shorter history, in tokens

Example = Mapping[str, Any]
_Ids = NDArray[np.int64]


class NGrams:
    """Unigrams, bigrams and trigrams of encoded rows, each smoothed by the next shorter ones.

    `p_n(w | h) = (count(h w) + m p_{n-1}(w | h')) / (count(h) + m)`, where the history `h` are the n - 1 tokens before
    `w`, `h'` is `h` without its first token, `m` = 2, and `p_0` is uniform.

    Source: MacKay and Peto 1995, "A hierarchical Dirichlet language model".

    Args:
        rows: Encoded rows, with `input_ids`. All tokens are counted, those of prompts, too.
    """

    def __init__(self, rows: Sequence[Example]) -> None:
        ids = [_ids(row) for row in rows]
        self._unknown = max((int(own.max()) for own in ids if own.size), default=0) + 1
        self._total = sum(own.size for own in ids)
        self._counted = [
            np.unique(np.concatenate([self._keys(own, n) for own in ids]), return_counts=True)
            for n in range(1, ORDERS + 1)
        ]

    def surprise(self, row: Example) -> Tensor:
        """(T, 3): `-ln p_n` of the answer tokens of a row, in nats, for n = 1, 2, 3."""
        ids = np.minimum(_ids(row), self._unknown)
        place = np.flatnonzero(np.asarray(row["labels"], dtype=np.int64)[1:] >= 0) + 1
        p = np.full(len(place), 1 / (self._unknown + 1))
        found = []
        for n in range(1, ORDERS + 1):
            histories = self._count(ids, place - 1, n - 1) if n > 1 else self._total
            p = (self._count(ids, place, n) + _PRIOR * p) / (histories + _PRIOR)
            found.append(-np.log(p))
        return torch.from_numpy(np.stack(found, axis=1)).float()

    def _count(self, ids: _Ids, place: _Ids, n: int) -> NDArray[np.int64]:
        """How often the n tokens that end at each place were counted; 0 where the row has fewer."""
        keys, counts = self._counted[n - 1]
        own = np.full(len(ids), -1, dtype=np.int64)
        own[n - 1 :] = self._keys(ids, n)
        if not len(keys):
            return np.zeros(len(place), dtype=np.int64)
        at = np.minimum(np.searchsorted(keys, own[place]), len(keys) - 1)
        return np.where(keys[at] == own[place], counts[at], 0)

    def _keys(self, ids: _Ids, n: int) -> _Ids:
        """A number for each n successive tokens."""
        keys = np.zeros(max(len(ids) - n + 1, 0), dtype=np.int64)
        for offset in range(n):
            keys = keys * (self._unknown + 1) + ids[offset : offset + len(keys)]
        return keys


def _ids(row: Example) -> _Ids:
    return np.asarray(row["input_ids"], dtype=np.int64)
