"""Objects from the user's own modules, by name: `my_module:my_function`."""

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ngdiff.errors import InputError, RuinedModelError, StoppedBySignal, VerdictError, WriteError

# Environment variable: if set, errors in the user's own code are shown with their traceback.
TRACEBACK = "NGDIFF_TRACEBACK"
_INSTALLED = {"site-packages", "dist-packages"}
# Locations of the modules that the user has named so far.
_OWN: set[Path] = set()
# Folders of code that is not the user's own: ngdiff and Python.
_NOT_OWN = [
    Path(__file__).resolve().parent,
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")),
]


def import_object(name: str, option: str) -> Any:
    """The object that `MODULE:NAME` names; modules are also searched in the current folder.

    Importing runs the module's code, which is the user's own.

    Args:
        name: `my_module:my_function`, or `package.module:Class`.
        option: The option to which it was given, at the start of messages.

    Raises:
        InputError: another form; a module that is missing, lacks one of its imports, is not valid Python, or ends the
            process or fails on import (the message starts with its file and line); or a name that it lacks.
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
    except SystemExit as error:  # a script, which would end this process with its own exit code
        raise InputError(
            f"{option} {name}: the module {module_name} ends the process when it is imported; put the code of the "
            'script under `if __name__ == "__main__":`'
        ) from error
    except Exception as error:  # the user's own code may raise anything
        if not (place := place_of(error, _is_nobodys)):
            raise
        raise InputError(
            f"{place}: {described(error)} (while {module_name} is imported, for {option} {name})"
        ) from error
    _OWN.add(_place_of_module(sys.modules[module_name.partition(".")[0]]))
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise InputError(f"{option} {name}: {module_name} has no {attribute}; it has {', '.join(public) or 'nothing'}")
    return getattr(module, attribute)


class OwnCodeError(Exception):
    """The user's own code failed; the message begins with its file and line."""


@contextmanager
def own_code_named() -> Iterator[None]:
    """Errors in the user's own code are raised with its file and line at the start of the message.

    ngdiff's own errors for users (`InputError` and others) pass unchanged.

    Raises:
        OwnCodeError: from the error.
    """
    try:
        yield
    except (InputError, RuinedModelError, StoppedBySignal, VerdictError, WriteError):
        raise
    except Exception as error:
        place = place_of(error)
        if not place or os.environ.get(TRACEBACK):
            raise
        raise OwnCodeError(f"{place}: {described(error)} ({TRACEBACK}=1 shows the whole traceback)") from error


def place_of(error: BaseException, is_own: Callable[[str], bool] | None = None) -> str:
    """The innermost frame of an error in the user's own code, `FILE, line N, in NAME`; empty if there is none.

    Args:
        error: The error.
        is_own: Whether a file is the user's own; by default, whether it is in the folder of a module named so far.
    """
    is_own = is_own or _is_own
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        return f"{_short(error.filename)}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = next((frame for frame in reversed(frames) if is_own(frame.filename)), None)
    return "" if own is None else f"{_short(own.filename)}, line {own.lineno}, in {own.name}"


def place_of_function(function: Any) -> str:
    """The definition of a function, or of the `__call__` of an object, `FILE, line N: `; empty if it is not the user's
    own."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    if code is None or not _is_own(code.co_filename):
        return ""
    return f"{_short(code.co_filename)}, line {code.co_firstlineno}: "


def described(error: BaseException) -> str:
    """Type and message of an error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _is_own(file: str) -> bool:
    return any(_lies_in(Path(file).resolve(), place) for place in _OWN)


def _lies_in(path: Path, place: Path) -> bool:
    """Whether a file is one of the modules in `place`, but not in an environment within it."""
    if path == place:
        return True
    if not path.is_relative_to(place) or _INSTALLED & set(path.relative_to(place).parts):
        return False
    return not any(path.is_relative_to(folder) and not place.is_relative_to(folder) for folder in _NOT_OWN)


def _is_nobodys(file: str) -> bool:
    """Whether a file belongs neither to Python nor to ngdiff nor to an installed package."""
    path = Path(file)
    if not path.is_file() or _INSTALLED & set(path.parts):
        return False
    return not any(path.resolve().is_relative_to(folder) for folder in _NOT_OWN)


def _place_of_module(top: ModuleType) -> Path:
    """The folder of a package or module; for a module of Python or an installed one, only its file."""
    file = Path(getattr(top, "__file__", None) or Path.cwd() / "none").resolve()
    alone = _INSTALLED & set(file.parts) or file.parent in _NOT_OWN
    return file if file.name != "__init__.py" and alone else file.parent


def _short(file: str) -> str:
    path, here = Path(file).resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def source_files(name: str) -> dict[str, Path]:
    """Source files of an imported `MODULE:NAME`, by module: its own, and those of imported modules in its folder.

    These are the files that a user may change between two runs; installed packages are excluded.
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
        beside = path.is_relative_to(folder) and not _INSTALLED & set(path.parts)
        if other == module_name or (beside and other.partition(".")[0] != __name__.partition(".")[0]):
            found[other] = path
    return {other: path for other, path in found.items() if path.is_file()}
