"""Faster ways to the numbers of the plain forward pass, each checked on rows of the run; `--speed off` uses none."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.speed.choose import Situation, choose_forward, may_pack
    from ngdiff.speed.forward import Forward

__all__ = ["Forward", "Situation", "choose_forward", "may_pack"]

make_lazy(__name__)
