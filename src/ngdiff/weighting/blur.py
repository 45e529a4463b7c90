"""BLUR: forgetting has priority; only the part of the retain gradient orthogonal to the forget gradient counts."""

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights


def blur(losses: Losses, gramian: Gramian, *, gamma: float = 1.0) -> Weights:
    """`w = (1, gamma - s/b)`: the retain gradient projected off the forget gradient, plus `gamma` times the latter.

    Both losses are minimised here (`l_f = -CE` by default), as in the paper's bi-level problem, so no sign changes. The
    component of `g_r` orthogonal to `g_f` is `p = g_r - (s/b) g_f`, and the step follows

        d = p + gamma g_f = g_r + (gamma - s/b) g_f.

    The projection always applies, whether or not the gradients conflict. Then `g_f . d = gamma b`: the forget objective
    falls as fast as without a retain set. `g_r . d = a - s^2/b + gamma s`, where `a - s^2/b >= 0`: if the gradients
    conflict, the retain loss may rise. `w_f` is negative if `s > gamma b`, that is, if the component of `g_r` along
    `g_f` exceeds `gamma g_f`.

    Args:
        gamma: Factor of the forget gradient, above 0.

    Source: Reisizadeh et al. 2026 (BLUR, EACL; arXiv 2506.08164), and its published code.

    Raises:
        InputError: `gamma` out of range.

    Example:
        >>> blur(Losses(0.1, -3.0), Gramian(a=4.0, s=-1.0, b=2.0))
        Weights(retain=1.0, forget=1.5)
        >>> blur(Losses(0.1, -3.0), Gramian(a=4.0, s=2.0, b=1.0))
        Weights(retain=1.0, forget=-1.0)
    """
    if not gamma > 0.0:
        raise InputError(f"gamma = {gamma} is not above 0: blur would leave out the forget gradient, or reverse it")
    return Weights(1.0, gamma - gramian.s / gramian.b)
