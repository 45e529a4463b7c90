"""Things of the user's own by name: `my_module:my_function`."""

import importlib
import sys
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError


def import_object(name: str, option: str) -> Any:
    """What `MODULE:NAME` names; modules of the current folder are found as well.

    Importing runs the module's code: it is the user's own, named by the user.

    Args:
        name: `my_module:my_function`, or `package.module:Class`.
        option: What it was given for, at the start of messages.

    Raises:
        InputError: another form, a module that is not there or lacks what it imports, or no such name in it. Other
            errors while it is imported are its author's and come as they are.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise InputError(f"{option} {name}: is not of the form my_module:my_name")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"{option} {name}: the module {module_name} cannot be imported: {error}") from error
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(f"{option} {name}: {module_name} has no {attribute}; it has {', '.join(public) or 'nothing'}")
    return getattr(module, attribute)
