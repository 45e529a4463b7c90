"""Sparse gradients of an embedding: only the rows of the batch's tokens are stored, all others are 0.

torch makes them where an embedding is `sparse`. For the inner products and the sum, both gradients become small dense
tensors over the rows that either has; only what the optimizer gets is dense over the whole vocabulary.

Shape legend: V rows (words of the vocabulary), H columns, N rows that at least one of the gradients has.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def on_common_rows(r: Tensor | None, f: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Two gradients of a (V, H) parameter, restricted to the rows that at least one of them has.

    Args:
        r, f: Sparse, coalesced, with one sparse dimension; dense; or None.

    Returns:
        The rows, (N,) int64 ascending, and both gradients on them, (N, H). If neither is sparse: None, and both
        unchanged; if one is dense: None, and both dense.

    Example:
        >>> def gradient(rows, values):
        ...     return torch.sparse_coo_tensor([rows], values, (5, 1), check_invariants=True, is_coalesced=True)
        >>> rows, r, f = on_common_rows(gradient([1, 3], [[1.0], [2.0]]), gradient([3, 4], [[5.0], [6.0]]))
        >>> rows.tolist(), r[:, 0].tolist(), f[:, 0].tolist()
        ([1, 3, 4], [1.0, 2.0, 0.0], [0.0, 5.0, 6.0])
    """
    given = [g for g in (r, f) if g is not None]
    if not any(g.is_sparse for g in given):
        return None, r, f
    if not all(g.is_sparse for g in given):
        return None, _dense(r), _dense(f)
    rows = torch.cat([g.indices()[0] for g in given]).unique()
    return rows, _on(rows, r), _on(rows, f)


def _dense(gradient: Tensor | None) -> Tensor | None:
    return gradient.to_dense() if gradient is not None and gradient.is_sparse else gradient


def _on(rows: Tensor, gradient: Tensor | None) -> Tensor | None:
    if gradient is None:
        return None
    values = gradient.values()
    places = torch.searchsorted(rows, gradient.indices()[0])
    return values.new_zeros(len(rows), *values.shape[1:]).index_copy_(0, places, values)


class DenseBuffers:
    """Dense buffers, one for each parameter, reused in every step: allocating new memory takes longer than zeroing it.

    Args:
        parameters: Whose gradients they are.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self._buffers: dict[int, Tensor] = {}

    def scatter(self, index: int, rows: Tensor, gradient: Tensor) -> Tensor:
        """The dense gradient of a parameter; valid until the next call for the same parameter.

        Args:
            index: Number of the parameter.
            rows: (N,) int64, the rows that are not 0.
            gradient: (N, H).
        """
        whole = self._held(index).zero_()
        return whole.index_copy_(0, rows, gradient.to(whole.device, whole.dtype))

    def _held(self, index: int) -> Tensor:
        if index not in self._buffers:
            self._buffers[index] = torch.empty_like(self._parameters[index], requires_grad=False)
        return self._buffers[index]
