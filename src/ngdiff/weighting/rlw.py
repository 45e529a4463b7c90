"""RLW: random weights in every step."""

import math
import random
from statistics import NormalDist

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def rlw(losses: Losses, gramian: Gramian, *, step: int, seed: int) -> Weights:
    """`w = softmax(z)` with `z` two draws from N(0, 1).

    The draws are a pure function of `(seed, step)`: the same in every process and after a resume. They use none of the
    run's random generators.

    Source: Lin et al. 2022 (arXiv 2111.10603), Algorithm 2; NGDiff, item 5.

    Example:
        >>> one = rlw(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25), step=1, seed=0)
        >>> one == rlw(Losses(9.0, -9.0), Gramian(a=1.0, s=0.0, b=1.0), step=1, seed=0)
        True
        >>> one.retain + one.forget
        1.0
    """
    draw = random.Random(f"rlw of seed {seed}, step {step}")  # strings are hashed: similar seeds give unrelated draws
    # Inverse transform sampling from bits: Python does not guarantee its own normal draws across versions.
    z_r, z_f = (NormalDist().inv_cdf((draw.getrandbits(52) + 0.5) / 2**52) for _ in range(2))
    w_r = 1.0 / (1.0 + math.exp(z_f - z_r))
    return Weights(w_r, 1.0 - w_r)
