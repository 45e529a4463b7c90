"""Make a trained language model forget a *forget* set and keep a *retain* set.

The names most programs need; everything else stands in the packages below. They are imported on first use, so that
`import ngdiff` and `ngdiff --version` do not wait for torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ngdiff.training import UnlearnConfig, UnlearnTrainer

__version__ = "0.1.0"

__all__ = ["UnlearnConfig", "UnlearnTrainer", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("UnlearnConfig", "UnlearnTrainer"):
        import ngdiff.training

        return getattr(ngdiff.training, name)
    raise AttributeError(f"module 'ngdiff' has no attribute {name!r}")
