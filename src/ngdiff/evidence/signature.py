"""A detached signature of a manifest: Ed25519 (RFC 8032), with a key of the user's.

The signature is 64 bytes over the bytes of `manifest.json`, beside it: other programs verify it, too, such as
`openssl pkeyutl -verify -rawin`. The manifest has the hashes of all that its run read and wrote, and the seal of the
run before, so that one signature covers all of it. Keys are read by `cryptography`, the extra `ngdiff[sign]`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.errors import InputError
from ngdiff.evidence.verify import Check
from ngdiff.file_names import MANIFEST
from ngdiff.paths import check_regular
from ngdiff.writing import write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE = f"{MANIFEST}.sig"
_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def read_private_key(path: Path, passphrase: Callable[[], bytes]) -> "Ed25519PrivateKey":
    """The private key in a file: PEM, as openssl writes it, or that of OpenSSH.

    Args:
        path: The file.
        passphrase: Called for the passphrase of an encrypted key, and only then.

    Raises:
        InputError: no such key, or another passphrase.
    """
    serialization = _serialization("--key")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = _read(path, "--key")
    load = serialization.load_ssh_private_key if _OPENSSH in content else serialization.load_pem_private_key
    try:
        key = _load(load, content, passphrase)
    except InputError:  # no passphrase
        raise
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(error, path, "--key", "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"--key {path}: is no Ed25519 key; openssl genpkey -algorithm ed25519 makes one")
    return key


def read_public_key(path: Path) -> "Ed25519PublicKey":
    """The public key in a file: PEM, or a line as of `id_ed25519.pub`.

    Raises:
        InputError: no such key.
    """
    serialization = _serialization("--public-key")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    content = _read(path, "--public-key")
    if b"PRIVATE KEY-----" in content:
        raise InputError(
            f"--public-key {path}: is a private key, which is for ngdiff sign alone; openssl pkey -in {path} -pubout "
            "writes the public one"
        )
    load = serialization.load_pem_public_key if b"-----BEGIN" in content else serialization.load_ssh_public_key
    try:
        key = load(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(error, path, "--public-key", "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"--public-key {path}: is no Ed25519 key")
    return key


def sign(folder: Path, key: "Ed25519PrivateKey") -> Path:
    """Sign the manifest in `folder`.

    Returns:
        Path of the signature.

    Raises:
        WriteError: the place cannot be written.
    """
    path = folder / SIGNATURE
    write_bytes(path, key.sign((folder / MANIFEST).read_bytes()))
    return path


def check_signature(folder: Path, key: "Ed25519PublicKey | None") -> list[Check]:
    """A row of the table of `ngdiff verify`; none where there is neither key nor signature.

    Args:
        folder: That of the manifest.
        key: To verify with; without one, the row only says that there is a signature.
    """
    path = folder / SIGNATURE
    what = f"signature of {MANIFEST}"
    if key is None:
        return [Check(what, 0, note="not verified: needs --public-key")] if path.is_file() else []
    if not path.is_file():
        return [Check(what, 1, (f"{SIGNATURE} is missing",))]
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(path.read_bytes(), (folder / MANIFEST).read_bytes())
    except InvalidSignature:
        return [Check(what, 1, (f"{SIGNATURE} is not the signature of this {MANIFEST} by this key",))]
    return [Check(what, 1)]


def _serialization(option: str) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise InputError(f"{option} needs the package cryptography: pip install 'ngdiff[sign]'") from error
    return serialization


def _load(load: Callable[..., Any], content: bytes, passphrase: Callable[[], bytes]) -> Any:
    try:
        return load(content, None)
    except TypeError:  # it is encrypted
        return load(content, passphrase())


def _read(path: Path, option: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{option} {path}: there is no such file")
    check_regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror})") from error


def _not_a_key(error: Exception, path: Path, option: str, kind: str) -> InputError:
    return InputError(f"{option} {path}: is no {kind} key in PEM or of OpenSSH, or the passphrase is wrong ({error})")
