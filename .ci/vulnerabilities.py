"""Known vulnerabilities of pinned packages, by pip-audit: `make vulnerabilities`.

    python .ci/vulnerabilities.py PIP_AUDIT CONSTRAINTS OUTPUT.json

pip-audit ends with 1 where it found something as well as where there is no network, and with 0 where the index knew
none of the packages. Here each has its own end:

- 0: no known vulnerability. Packages that could not be looked up are named.
- 0, and a last line that begins with SKIPPED: the database cannot be reached, or knows none of the packages.
- 1: there are known vulnerabilities, listed with the versions that mend them.
- 2: pip-audit failed in another way; all that it wrote is shown.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# What requests and urllib3 write where there is no way to a server, or it does not answer.
_NO_NETWORK = ("ConnectionError", "ProxyError", "ConnectTimeout", "ReadTimeout", "Max retries exceeded", "HTTPError: 5")


def main(program: str, constraints: str, output: str) -> int:
    """Run pip-audit, and say what came of it."""
    report = Path(output)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)  # of an earlier run
    words = [
        program,
        "--requirement",
        constraints,
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--output",
        output,
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    if not report.is_file():
        return _failed(done.stdout + done.stderr)
    return _said(json.loads(report.read_text(encoding="utf-8"))["dependencies"])


def _failed(text: str) -> int:
    lines = text.strip().splitlines() or ["pip-audit wrote nothing"]
    if any(sign in text for sign in _NO_NETWORK):
        print(f"SKIPPED: the database of vulnerabilities cannot be reached: {lines[-1]}")
        return 0
    print(text)
    print("pip-audit failed")
    return 2


def _said(packages: list[dict[str, Any]]) -> int:
    unknown = [package for package in packages if "skip_reason" in package]
    bad = [package for package in packages if package.get("vulns")]
    for package in bad:
        for found in package["vulns"]:
            names = ", ".join([found["id"], *found.get("aliases", ())])
            mended = ", ".join(found.get("fix_versions", ())) or "none yet"
            print(f"{package['name']} {package['version']}: {names}; mended in: {mended}")
    checked = len(packages) - len(unknown)
    if bad:
        print(f"{len(bad)} of {checked} packages have known vulnerabilities")
        return 1
    if not checked:
        reason = unknown[0]["skip_reason"] if unknown else "there are none"
        print(f"SKIPPED: none of {len(packages)} packages could be looked up: {reason}")
        return 0
    if unknown:
        print(f"NOT looked up: {', '.join(package['name'] for package in unknown)}")
    print(f"{checked} of {len(packages)} packages were looked up: no known vulnerabilities")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
