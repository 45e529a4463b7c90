"""The micro model and data of the end-to-end tests, to be harmed."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from ngdiff.training.saving import _Steps

from ..end_to_end.conftest import copy_of, material, whole

__all__ = ["copy_of", "material", "whole"]


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`in_step(n, *signals)`: they are sent to this process when step n begins, in the next run alone."""
    begin = _Steps.on_step_begin

    def send(step: int, *signals: signal.Signals) -> None:
        left = list(signals)

        def on_step_begin(self: _Steps, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            begin(self, args, state, control, **kwargs)
            while left and state.global_step == step - 1:
                signal.raise_signal(left.pop(0))

        monkeypatch.setattr(_Steps, "on_step_begin", on_step_begin)

    return send
