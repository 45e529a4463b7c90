"""`ngdiff ledger`."""

import sys

from ngdiff.cli.json_file import JsonFileOptions
from ngdiff.cli.parsing import CommandParser
from ngdiff.evidence.ledger import ledger_table, read_ledger
from ngdiff.paths import user_path

PARSER = CommandParser(
    "ledger",
    "All requests to forget that led to an output (ngdiff unlearn --after): rows, losses before and after, and what "
    "the last run found of the earlier ones. Loads no model.",
    {"output": JsonFileOptions},
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
    options: JsonFileOptions = PARSER.build(JsonFileOptions, values)
    folder = user_path(PARSER.only_word(values))
    options.check_json(folder)
    entries = read_ledger(folder)
    options.write_json(entries)
    sys.stdout.write(ledger_table(entries))
