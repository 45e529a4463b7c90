"""`make vulnerabilities`: what was found, what could not be looked up, and no network are told apart."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "vulnerabilities.py"
KNOWN = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["3"]}]}
FINE = {"name": "idna", "version": "3.10", "vulns": []}
UNKNOWN = {"name": "absent", "skip_reason": "Dependency not found on PyPI"}

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason=".ci/ is no part of the source distribution")


def ended(folder: Path, packages: list[dict[str, Any]] | None, said: str, status: int) -> int:
    """Exit status of the script, with a pip-audit that writes this."""
    report = json.dumps({"dependencies": packages})
    program = folder / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        + (f"pathlib.Path(sys.argv[-1]).write_text({report!r})\n" if packages is not None else "")
        + f"sys.stderr.write({said!r})\nsys.exit({status})\n"
    )
    program.chmod(0o755)
    main = runpy.run_path(str(SCRIPT))["main"]
    return int(main(str(program), "constraints.txt", str(folder / "build" / "found.json")))


@pytest.mark.parametrize(
    ("packages", "said", "status", "code", "line"),
    [
        ([KNOWN, FINE], "Found 1 known vulnerability", 1, 1, "1 of 2 packages have known vulnerabilities"),
        ([KNOWN, UNKNOWN], "", 0, 1, "jinja2 2.10: PYSEC-1, CVE-2; mended in: 3"),
        ([FINE, UNKNOWN], "", 0, 0, "NOT looked up: absent"),
        ([FINE], "", 0, 0, "1 of 1 packages were looked up: no known vulnerabilities"),
        ([UNKNOWN], "No known vulnerabilities found", 0, 0, "SKIPPED: none of 1 packages could be looked up"),
        (
            None,
            "requests.exceptions.ConnectionError: no route",
            1,
            0,
            "SKIPPED: the database of",
        ),
        (None, "ERROR: invalid requirements input", 1, 2, "pip-audit failed"),
        (None, "", 1, 2, "pip-audit failed"),
    ],
    ids=["found", "found and unknown", "some unknown", "none", "all unknown", "no network", "failed", "silent"],
)
def test_each_outcome_has_its_own_end(
    tmp_path: Path, packages: list[dict[str, Any]] | None, said: str, status: int, code: int, line: str, capsys
) -> None:
    assert ended(tmp_path, packages, said, status) == code
    assert line in capsys.readouterr().out
