"""A callback for work that must wait until all input is validated and the first step is next."""

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback


class AtBegin(TrainerCallback):
    """Calls `do` at the beginning of training."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Do it."""
        self._do()
