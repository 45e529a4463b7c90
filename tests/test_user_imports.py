"""Objects of the user's own, by name."""

import sys
from contextlib import ExitStack

import pytest

from ngdiff.errors import InputError, VerdictError
from ngdiff.imports import import_object, own_code_named


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the current folder, forgotten again afterwards."""
    (tmp_path / "users_module.py").write_text("answer = 42\n_hidden = 1\n", encoding="utf-8")
    (tmp_path / "users_needy.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    (tmp_path / "users_typo.py").write_text("a = 1\ndef f(:\n", encoding="utf-8")
    (tmp_path / "users_bytes.py").write_bytes(b"a = '\xff'\n")
    (tmp_path / "users_program.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "users_module"
    sys.modules.pop("users_module", None)


def test_a_module_of_the_current_folder(module):
    assert import_object(f"{module}:answer", "--weighting") == 42


def test_a_module_of_a_package():
    assert import_object("os.path:join", "--weighting") is __import__("os").path.join


def test_errors_in_pythons_own_code_are_not_the_users():
    import_object("os.path:join", "--weighting")
    with pytest.raises(KeyError), own_code_named(), ExitStack() as stack:
        stack.push(lambda *_: {}["missing"])


def test_verdicts_pass():
    with pytest.raises(VerdictError), own_code_named():
        raise VerdictError("not met", 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("users_module:other", r"^--weighting users_module:other: users_module has no other; it has answer$"),
        ("users_nowhere:f", "the module users_nowhere cannot be imported: No module named"),
        ("users_needy:f", "users_needy cannot be imported: No module named 'a_package_that_is_not_there'"),
        ("users_typo:f", r"users_typo\.py, line 2: no Python: invalid syntax"),
        ("users_bytes:f", r"users_bytes: no Python: .*utf-8|users_bytes\.py, line 1: no Python: .*utf-8"),
        ("users_program:f", "users_program ends the process when it is imported; put the code of the script under"),
        ("users_module:", "is not of the form my_module:my_name"),
        ("users_module", "is not of the form"),
        (":f", "is not of the form"),
        (".users_module:f", "is not of the form"),
        ("users_module:a.b", "is not of the form"),
    ],
)
def test_errors(module, name, message):
    with pytest.raises(InputError, match=message):
        import_object(name, "--weighting")
