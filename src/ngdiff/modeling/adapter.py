"""Put an adapter on a model."""

from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model

from ngdiff.errors import InputError


def add_adapter(model: Any, config: PeftConfig, *, seed: int) -> PeftModel:
    """The model under a new, trainable adapter; its own weights are frozen, in place.

    Seeds torch's generators, as a Trainer does when it is made: the adapter's first weights are drawn before that, and
    without a seed no two runs would be alike.

    Raises:
        InputError: the configuration does not fit the model, as when none of its layers has a name that was asked for.
    """
    torch.manual_seed(seed)
    try:
        return cast(PeftModel, get_peft_model(model, config))
    except ValueError as error:
        raise InputError(f"The adapter does not fit the model: {error}") from error
