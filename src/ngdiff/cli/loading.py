"""Slow steps before a run, announced when they begin: importing torch, loading models."""

import logging
import sys

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
