"""Quicker ways to the same numbers, each checked on rows of the run before it is used; `--speed off` takes none."""

from ngdiff.speed.choose import Situation, choose_forward, may_pack
from ngdiff.speed.forward import Forward

__all__ = ["Forward", "Situation", "choose_forward", "may_pack"]
