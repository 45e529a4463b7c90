"""Options that change nothing beside the method or the learning rate of a run."""

import logging
from dataclasses import fields

from ngdiff.option import dashed
from ngdiff.training.autolr_options import AutoLROptions
from ngdiff.training.unlearn_arguments import UnlearnArguments

logger = logging.getLogger(__name__)


def warn_of_idle(args: UnlearnArguments) -> None:
    """Warn of options that were given and change nothing. No error: runs of a sweep share options.

    Args:
        args: Checked, and told of the further inputs of the run (`UnlearnArguments.know`).
    """
    if args.idk_file is not None and "alternate" not in args.resolve_objectives()["forget"].needs:
        logger.warning(
            "--idk-file %s changes nothing: the forget objective %s teaches no other answers.",
            args.idk_file,
            args.parts.forget,
        )
    if args.autolr or args.preset is not None:
        return
    rate = f"--learning-rate {args.learning_rate}" if args.optimizer is None else f"--optimizer {args.optimizer}"
    for field in fields(AutoLROptions):
        value = getattr(args, field.name)
        if field.name.startswith("autolr_") and value != field.default:
            logger.warning("%s %s changes nothing with %s: nothing is probed.", dashed(field.name), value, rate)
