"""Make a trained model forget a *forget* set and keep a *retain* set.

The most common names; everything else is in the packages below. They are imported on first use, so that `import ngdiff`
and `ngdiff --version` do not wait for torch.
"""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.commands import compare, evaluate, finetune, unlearn
    from ngdiff.training import UnlearnConfig, UnlearnTrainer

__version__ = "0.1.0"

__all__ = ["UnlearnConfig", "UnlearnTrainer", "__version__", "compare", "evaluate", "finetune", "unlearn"]

make_lazy(__name__)
