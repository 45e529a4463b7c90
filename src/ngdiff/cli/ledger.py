"""`ngdiff ledger`."""

import sys
from dataclasses import asdict, dataclass

from ngdiff.cli.output_file import check_output_file
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.evidence.inputs import files_read
from ngdiff.evidence.ledger import ledger_table, read_ledger
from ngdiff.files import MANIFEST, write_json
from ngdiff.paths import user_path


@dataclass
class LedgerOptions:
    """Where the history goes, too."""

    json: str | None = option(None, help="file for the history as JSON", value="FILE")
    overwrite: bool = option(False, help="replace that file")


PARSER = CommandParser(
    "ledger",
    "All requests to forget that led to an output (ngdiff unlearn --after): rows, losses before and after, and what "
    "the last run found of the earlier ones. Loads no model.",
    {"output": LedgerOptions},
    required=(),
    words="folder",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: no unlearning run is there.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: LedgerOptions = PARSER.build(LedgerOptions, values)
    if len(values["folder"]) != 1:
        raise InputError(f"ngdiff ledger takes one folder, not {len(values['folder'])}")
    folder = user_path(values["folder"][0])
    if options.json is not None:
        check_output_file(
            options.json, option="--json", overwrite=options.overwrite, inputs=files_read(folder / MANIFEST)
        )
    entries = read_ledger(folder)
    if options.json is not None:
        write_json(user_path(options.json, "--json"), [asdict(entry) for entry in entries])
    sys.stdout.write(ledger_table(entries))
