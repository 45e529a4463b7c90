"""SAGO: entry by entry, the forget gradient only where its sign agrees with that of the retain gradient."""

from typing import TYPE_CHECKING

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights

if TYPE_CHECKING:
    from torch import Tensor


def sago(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (1, 1)`, applied to entries that are selected by their signs.

    Not a function of the Gramian: `d_j = g_r,j` where the signs of `g_r,j` and `g_f,j` are opposite, and elsewhere
    `g_f,j` (`forget_where_signs_agree`) or `g_r,j + g_f,j` (`sum_where_signs_agree`, the variant that the published
    code calls "prefer retain"). Every term of `g_r . d` is then at least 0: no entry raises the retain loss. The forget
    objective may rise: `g_f . d` contains the negative `g_r,j g_f,j` of the entries with opposite signs.

    As in the published code, a zero is not opposite to any sign. Entries where only the retain gradient is nonzero,
    such as embeddings of tokens that the forget rows do not contain, are therefore fixed in `sago`, but not in
    `sago-sum`.

    Source: Xiao et al. 2026 (SAGO, ACL; arXiv 2604.14808), and its published code.

    Example:
        >>> sago(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=1.0, forget=1.0)
    """
    return Weights(1.0, 1.0)


def forget_where_signs_agree(r: "Tensor", f: "Tensor") -> "tuple[Tensor, Tensor]":
    """The retain gradient where the signs are opposite, the forget gradient elsewhere.

    Example:
        >>> import torch
        >>> retain, forget = forget_where_signs_agree(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-5.0, 6.0, 0.0]))
        >>> retain.tolist(), forget.tolist()
        ([True, False, False], [False, True, True])
    """
    opposite = _opposite(r, f)
    return opposite, ~opposite


def sum_where_signs_agree(r: "Tensor", f: "Tensor") -> "tuple[Tensor, Tensor]":
    """The retain gradient everywhere, the forget gradient where the signs are not opposite.

    Example:
        >>> import torch
        >>> retain, forget = sum_where_signs_agree(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-5.0, 6.0, 0.0]))
        >>> retain.tolist(), forget.tolist()
        ([True, True, True], [False, True, True])
    """
    opposite = _opposite(r, f)
    return opposite.new_ones(opposite.shape), ~opposite


def _opposite(r: "Tensor", f: "Tensor") -> "Tensor":
    return ((r > 0) & (f < 0)) | ((r < 0) & (f > 0))  # a product of small numbers may underflow to 0
