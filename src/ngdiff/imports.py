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
        InputError: another form, a module that is not there or lacks what it imports, that is no Python or ends the
            process, or no such name in it. Other errors while it is imported are its author's and come as they are.
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
    except SyntaxError as error:
        where = f"{error.filename or module_name}, line {error.lineno}" if error.lineno else module_name
        raise InputError(f"{option} {name}: {where}: no Python: {error.msg}") from error
    except SystemExit as error:  # a program, which would end this one, with the exit code that it likes
        raise InputError(
            f"{option} {name}: the module {module_name} ends the process when it is imported; put what it does as a "
            'program under `if __name__ == "__main__":`'
        ) from error
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(f"{option} {name}: {module_name} has no {attribute}; it has {', '.join(public) or 'nothing'}")
    return getattr(module, attribute)


def source_files(name: str) -> dict[str, Path]:
    """Source files of an imported `MODULE:NAME`, by module: its own, and of modules that lie beside or below it.

    Those are what a user may change between two runs; installed packages are not looked at.
    """
    module_name = name.partition(":")[0]
    top = sys.modules[module_name.partition(".")[0]]
    place = getattr(top, "__file__", None)
    folder = Path(place).resolve().parent if place else Path.cwd()
    found = {}
    for other, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or other in ("__main__", "__mp_main__"):
            continue
        path = Path(file).resolve()
        beside = path.is_relative_to(folder) and not {"site-packages", "dist-packages"} & set(path.parts)
        if other == module_name or (beside and other.partition(".")[0] != __name__.partition(".")[0]):
            found[other] = path
    return {other: path for other, path in found.items() if path.is_file()}
