"""What takes its time before a run: torch and models, each said when it begins."""

import logging
import sys

from ngdiff.cli.terminal import hide_loading_bars

logger = logging.getLogger(__name__)


def load_torch() -> None:
    """Import torch and transformers: everything that can be checked without them is.

    Modules of `ngdiff` import what they use of them where they use it; here is where a command waits for it.
    """
    if "transformers" not in sys.modules:
        say_loading("torch and transformers")
    import torch  # noqa: F401
    import transformers  # noqa: F401

    hide_loading_bars()


def say_loading(what: str) -> None:
    """Say it, in the first process."""
    logger.info("Loading %s ...", what)
