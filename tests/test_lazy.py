"""Packages that import their modules on first use behave as if they had imported all at once."""

import importlib
import subprocess
import sys
import types

import pytest

import ngdiff

PACKAGES = (
    *("audit", "core", "data", "estimate", "evaluation", "metrics", "modeling", "objectives", "report", "scoring"),
    *("speed", "tasks", "training", "weighting"),
)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_gives_what_it_lists_also_beside_submodules_of_that_name(name):
    package = importlib.import_module(f"ngdiff.{name}")
    for offered in package.__all__:
        assert not isinstance(getattr(package, offered), types.ModuleType), offered
    assert set(package.__all__) <= set(dir(package))


def test_a_submodule_that_is_imported_later_does_not_hide_the_function():
    lines = (
        "import ngdiff.scoring.compare",
        "from ngdiff.scoring import compare",
        "assert compare.__module__ == 'ngdiff.scoring.compare', compare",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_a_name_can_be_replaced_and_put_back(monkeypatch):
    import ngdiff.core

    before = ngdiff.core.gramian
    with monkeypatch.context() as patch:
        patch.setattr("ngdiff.core.gramian", 1)
        assert ngdiff.core.gramian == 1
    assert ngdiff.core.gramian is before


def test_what_is_not_listed_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ngdiff.nothing
