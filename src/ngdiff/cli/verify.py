"""`ngdiff verify`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.inputs import files_read
from ngdiff.evidence.table import columns
from ngdiff.evidence.verify import Check, verify
from ngdiff.exit_codes import NOT_AS_WRITTEN
from ngdiff.files import MANIFEST, write_json
from ngdiff.paths import user_path


@dataclass
class VerifyOptions:
    """A file for the table."""

    json: str | None = option(None, help="file for the table as JSON", value="FILE")
    overwrite: bool = option(False, help="replace that file")


PARSER = CommandParser(
    "verify",
    "Hash again all that a run wrote and read, and the runs it went on from (--after), and compare with its manifest. "
    "Ends with 4 where a file is not as it was. Loads no model.",
    {"output": VerifyOptions},
    required=(),
    words="folder",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: no run is there, or one that has not ended.
        VerdictError: a file is not as it was.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: VerifyOptions = PARSER.build(VerifyOptions, values)
    if len(values["folder"]) != 1:
        raise InputError(f"ngdiff verify takes one folder, not {len(values['folder'])}")
    folder = user_path(values["folder"][0])
    if options.json is not None:
        check_output_file(
            options.json, option="--json", overwrite=options.overwrite, inputs=files_read(folder / MANIFEST)
        )
    checks = verify(folder)
    if options.json is not None:
        write_json(user_path(options.json, "--json"), [asdict(check) for check in checks])
    sys.stdout.write(_table(checks))
    faults = [fault for check in checks for fault in check.faults]
    if faults:
        raise VerdictError(
            f"{len(faults)} of what {folder} is made of is not as it was, first: {faults[0]}", NOT_AS_WRITTEN
        )
    sys.stdout.write(f"{sum(check.files for check in checks)} files are as they were written and read.\n")


def _table(checks: Sequence[Check]) -> str:
    rows = [["what", "files", "as it was"]]
    for check in checks:
        rows.append([check.what, str(check.files), "NO" if check.faults else check.note or "yes"])
        rows += [[f"  {fault}", "", ""] for fault in check.faults]
    return columns(rows)
