"""`ngdiff sign`."""

import os
import sys
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.signature import SIGNATURE, read_private_key, sign
from ngdiff.evidence.verify import verify
from ngdiff.exit_codes import NOT_AS_WRITTEN
from ngdiff.paths import user_path

PASSPHRASE = "NGDIFF_KEY_PASSPHRASE"


@dataclass
class SignOptions:
    """With which key."""

    key: str = option(
        help=f"private Ed25519 key: PEM, or of OpenSSH; its passphrase is asked for, or taken from {PASSPHRASE}",
        value="FILE",
    )
    overwrite: bool = option(False, help="replace the signature that is there")


PARSER = CommandParser(
    "sign",
    "Sign the manifest of a run, and with it all hashes of what the run read and wrote, with your own Ed25519 key "
    f"(extra ngdiff[sign]). All files are verified first. The signature is OUTPUT/{SIGNATURE}; ngdiff verify "
    "--public-key verifies it.",
    {"signature": SignOptions},
    required=("key",),
    words="folder",
    example="openssl genpkey -algorithm ed25519 -out key.pem\n"
    "openssl pkey -in key.pem -pubout -out public.pem\n"
    "ngdiff sign unlearned --key key.pem\n"
    "ngdiff verify unlearned --public-key public.pem",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: no run is there, or one that has not ended; no such key.
        VerdictError: a file is not as it was; nothing is signed.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: SignOptions = PARSER.build(SignOptions, values)
    folder = user_path(PARSER.only_word(values))
    if (folder / SIGNATURE).exists() and not options.overwrite:
        raise InputError(f"{folder / SIGNATURE} is there already; pass --overwrite to replace it")
    path = user_path(options.key, "--key")
    key = read_private_key(path, lambda: _passphrase(path))
    if faults := [fault for check in verify(folder) for fault in check.faults]:
        raise VerdictError(f"{folder} is not as it was, and is not signed: {faults[0]}", NOT_AS_WRITTEN)
    sys.stdout.write(f"{sign(folder, key)} is the signature\n")


def _passphrase(path: Path) -> bytes:
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return given.encode()
    if not sys.stdin.isatty():
        raise InputError(f"--key {path}: is encrypted; set {PASSPHRASE}, or run this in a terminal, which asks for it")
    try:
        return getpass(f"Passphrase of {path}: ").encode()
    except EOFError as error:
        raise InputError(f"--key {path}: is encrypted, and no passphrase was given") from error
