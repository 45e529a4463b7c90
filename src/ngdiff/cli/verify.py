"""`ngdiff verify`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ngdiff.cli.json_file import JsonFileOptions
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import VerdictError
from ngdiff.evidence.replayed import SAME_BITS
from ngdiff.evidence.signature import check_signature, read_public_key
from ngdiff.evidence.table import columns
from ngdiff.evidence.verify import Check, verify
from ngdiff.exit_codes import NOT_AS_WRITTEN, NOT_SIGNED, REPLAY_DIFFERS
from ngdiff.paths import user_path
from ngdiff.plurals import number_of, some_of, verb


@dataclass
class VerifyOptions(JsonFileOptions):
    """A repetition of the run, a signature, and a file for the table."""

    replay: str | None = option(
        None,
        help="repeat the run of unlearn or finetune into this new folder, and compare the model bit for bit; exit code "
        "9 where it differs",
        value="DIR",
    )
    public_key: str | None = option(
        None,
        help="Ed25519 key (PEM or OpenSSH) by which the manifest must be signed, see ngdiff sign; exit code 10 "
        "where it is not",
        value="FILE",
    )


PARSER = CommandParser(
    "verify",
    "Hash again all that a run wrote and read, and the runs it went on from (--after), and compare with its manifest. "
    "Ends with 4 where a file is not as it was. Loads no model, unless --replay repeats the run.",
    {"output": VerifyOptions},
    required=(),
    words="folder",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: no run is there, or one that has not ended.
        VerdictError: a file is not as it was, the signature is wrong or missing, or the repeated run wrote another
            model.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: VerifyOptions = PARSER.build(VerifyOptions, values)
    folder = user_path(PARSER.only_word(values))
    options.check_json(folder)
    into = None if options.replay is None else user_path(options.replay, "--replay")
    if into is not None:
        from ngdiff.cli.replay import check_replay  # brings the parsers of the commands

        check_replay(folder, into)
    key = None if options.public_key is None else read_public_key(user_path(options.public_key, "--public-key"))
    checks, signed = verify(folder), check_signature(folder, key)
    options.write_json([*signed, *checks])
    sys.stdout.write(_table([*signed, *checks]))
    if faults := _faults(checks):
        raise VerdictError(
            f"{len(faults)} of what {folder} is made of is not as it was, first: {faults[0]}", NOT_AS_WRITTEN
        )
    if faults := _faults(signed):
        raise VerdictError(f"{folder}: {faults[0]}", NOT_SIGNED)
    files = sum(check.files for check in checks)
    verb = "is as it was" if files == 1 else "are as they were"
    sys.stdout.write(f"{number_of(files, 'file')} {verb} written and read.\n")
    if into is not None:
        _replay(folder, into, [*signed, *checks], options)


def _replay(folder: Path, into: Path, checks: Sequence[Check], options: VerifyOptions) -> None:
    from ngdiff.cli.replay import replay

    repeated = replay(folder, into)
    sys.stdout.write(_table(repeated))
    options.write_json([*checks, *repeated])
    faults = _faults(repeated)
    if faults:
        raise VerdictError(
            f"the run of {folder}, repeated in {into}, wrote another model: "
            f"{some_of(len(faults), len(repeated), 'file')} {verb(len(faults), 'differs', 'differ')}, first: "
            f"{faults[0]}",
            REPLAY_DIFFERS,
        )
    same = sum(check.note == SAME_BITS for check in repeated)
    sys.stdout.write(
        f"{some_of(same, len(repeated), 'file')} of the model {verb(same, 'has', 'have')} the same bits.\n"
    )


def _faults(checks: Sequence[Check]) -> list[str]:
    return [fault for check in checks for fault in check.faults]


def _table(checks: Sequence[Check]) -> str:
    rows = [["what", "files", "as it was"]]
    for check in checks:
        rows.append([check.what, str(check.files), "NO" if check.faults else check.note or "yes"])
        rows += [[f"  {fault}", "", ""] for fault in check.faults]
    return columns(rows)
