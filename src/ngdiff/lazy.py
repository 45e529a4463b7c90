"""Packages that import their modules on first use, so that help and errors of options do not wait for torch.

The `__init__` of such a package has its usual imports below `if TYPE_CHECKING:`, where type checkers and readers find
them, and ends with `make_lazy(__name__)`.
"""

import ast
import importlib
import inspect
import sys
from types import ModuleType
from typing import Any


def make_lazy(package: str) -> None:
    """Let a package import a name when it is asked for it, as if its imports below `if TYPE_CHECKING:` had run.

    A submodule of the same name does not hide what it defines: `from ngdiff.core import gramian` is the function.

    Args:
        package: Its `__name__`, from its own `__init__`.
    """
    module = sys.modules[package]
    names = {name: _Name(f"{package}.{name}", *place) for name, place in _listed(module).items()}
    # Properties of the class come before attributes of the module, as which Python adds submodules.
    module.__class__ = type("LazyPackage", (_LazyPackage,), {**names, "names": tuple(names)})


class _LazyPackage(ModuleType):
    names: tuple[str, ...] = ()

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.names})


class _Name:
    """A name of a package.

    Args:
        submodule: What Python would call a submodule of that name.
        place: Module in which the name is defined.
        name: What it is called there.
    """

    def __init__(self, submodule: str, place: str, name: str) -> None:
        self._submodule, self._place, self._name = submodule, place, name

    def __get__(self, module: Any, kind: Any = None) -> Any:
        if not hasattr(self, "_value"):
            self._value = getattr(importlib.import_module(self._place), self._name)
        return self._value

    def __set__(self, module: Any, value: Any) -> None:
        if value is not sys.modules.get(self._submodule):
            self._value = value


class LazyFunction:
    """A function that is imported when it is called, or asked for its parameters.

    Args:
        file: Module of the package in which it is defined.
        name: What it is called there.
        package: Of the module.
    """

    def __init__(self, file: str, name: str, *, package: str) -> None:
        self._place, self.__name__ = f"{package}.{file}", name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._found()(*args, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._found())

    def _found(self) -> Any:
        return getattr(importlib.import_module(self._place), self.__name__)


def _listed(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Name -> module and name there, of the imports that only type checkers run."""
    loader: Any = module.__loader__
    found: dict[str, tuple[str, str]] = {}
    for node in ast.parse(loader.get_source(module.__name__)).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom), "a package lists what it offers by `from ... import`"
                found |= {alias.asname or alias.name: (str(line.module), alias.name) for alias in line.names}
    return found
