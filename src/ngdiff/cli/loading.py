"""Slow steps before a run, announced when they begin: importing torch, loading models."""

import logging
import sys
from typing import Any

from ngdiff.cli.terminal import hide_loading_bars

logger = logging.getLogger(__name__)


def load_torch() -> None:
    """Import torch and transformers, after everything that can be checked without them.

    Modules of `ngdiff` import them lazily; this is where a command waits for them.
    """
    if "transformers" not in sys.modules:
        say_loading("torch and transformers")
    import torch  # noqa: F401
    import transformers  # noqa: F401

    hide_loading_bars()


def say_loading(what: str) -> None:
    """Log what is being loaded, in the main process."""
    logger.info("Loading %s ...", what)


def loaded_model(name: str, options: Any) -> Any:
    """A language model, announced.

    Args:
        name: Folder or hub name.
        options: With `dtype` and `trust_remote_code`.

    Raises:
        InputError: as `ngdiff.modeling.load_model`.
    """
    from ngdiff.modeling import load_model

    say_loading(f"the model {name}")
    return load_model(name, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
