"""A manifest is signed with a key of the user's, and the signature is verified."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ngdiff.cli import main
from ngdiff.cli.sign import PASSPHRASE
from ngdiff.exit_codes import BAD_INPUT, DONE, NOT_AS_WRITTEN, NOT_SIGNED

from .made import Made, write_run

KEY = Ed25519PrivateKey.generate()
FORMATS = {
    "pem": (PrivateFormat.PKCS8, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "openssh": (PrivateFormat.OpenSSH, Encoding.OpenSSH, PublicFormat.OpenSSH),
}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_run(tmp_path)


def write_keys(folder: Path, form: str = "pem", passphrase: str = "", key: Ed25519PrivateKey = KEY) -> tuple[str, str]:
    """Files of the private and the public key."""
    private, encoding, public = FORMATS[form]
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    files = folder / f"{form}.key", folder / f"{form}.pub"
    files[0].write_bytes(key.private_bytes(Encoding.PEM, private, encryption))
    files[1].write_bytes(key.public_key().public_bytes(encoding, public))
    return str(files[0]), str(files[1])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("passphrase", ["", "seven geese"])
def test_a_signature_is_verified_by_the_public_key(
    made: Made, tmp_path: Path, form: str, passphrase: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    key, public = write_keys(tmp_path, form, passphrase)
    monkeypatch.setenv(PASSPHRASE, passphrase)
    assert main(["sign", str(made.output), "--key", key]) == DONE
    assert (made.output / "manifest.json.sig").stat().st_size == 64
    capsys.readouterr()
    assert main(["verify", str(made.output), "--public-key", public]) == DONE
    assert "signature of manifest.json" in capsys.readouterr().out
    assert main(["verify", str(made.output)]) == DONE
    assert "not verified: needs --public-key" in capsys.readouterr().out


def test_a_missing_signature_and_one_of_another_key_end_with_a_code_of_their_own(
    made: Made, tmp_path: Path, capsys
) -> None:
    key, public = write_keys(tmp_path)
    assert main(["verify", str(made.output), "--public-key", public]) == NOT_SIGNED
    assert "manifest.json.sig is missing" in capsys.readouterr().err
    _, other = write_keys(tmp_path, "openssh", key=Ed25519PrivateKey.generate())
    assert main(["sign", str(made.output), "--key", key]) == DONE
    assert main(["verify", str(made.output), "--public-key", other]) == NOT_SIGNED
    assert "is not the signature of this manifest.json by this key" in capsys.readouterr().err


def test_every_changed_byte_of_the_signature_is_found(made: Made, tmp_path: Path) -> None:
    key, public = write_keys(tmp_path)
    main(["sign", str(made.output), "--key", key])
    path = made.output / "manifest.json.sig"
    signature = path.read_bytes()
    for changed in (signature[:-1], signature + b"\n", bytes([signature[0] ^ 1]) + signature[1:], b""):
        path.write_bytes(changed)
        assert main(["verify", str(made.output), "--public-key", public]) == NOT_SIGNED


def test_a_manifest_that_was_forged_with_a_new_seal_is_found(made: Made, tmp_path: Path) -> None:
    key, public = write_keys(tmp_path)
    main(["sign", str(made.output), "--key", key])
    signature = (made.output / "manifest.json.sig").read_bytes()
    shutil.rmtree(made.output)
    write_run(tmp_path, extra={"finished": True, "forged": True})
    (made.output / "manifest.json.sig").write_bytes(signature)
    assert main(["verify", str(made.output)]) == DONE
    assert main(["verify", str(made.output), "--public-key", public]) == NOT_SIGNED


def test_what_is_not_as_it_was_is_not_signed(made: Made, tmp_path: Path, capsys) -> None:
    key, public = write_keys(tmp_path)
    (made.output / "report" / "curves.png").write_text("other")
    assert main(["sign", str(made.output), "--key", key]) == NOT_AS_WRITTEN
    assert "is not signed: report/curves.png is changed" in capsys.readouterr().err
    assert not (made.output / "manifest.json.sig").exists()
    assert main(["verify", str(made.output), "--public-key", public]) == NOT_AS_WRITTEN


def test_a_signature_is_replaced_only_when_asked_for(made: Made, tmp_path: Path, capsys) -> None:
    key, _ = write_keys(tmp_path)
    words = ["sign", str(made.output), "--key", key]
    assert main(words) == DONE
    assert main(words) == BAD_INPUT
    assert "pass --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == DONE


def test_keys_that_cannot_be_used(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    key, public = write_keys(tmp_path)
    encrypted, _ = write_keys(tmp_path, "openssh", "seven geese")
    rsa = tmp_path / "rsa.key"
    rsa.write_bytes(generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    monkeypatch.delenv(PASSPHRASE, raising=False)
    for given, message in {
        str(rsa): "is no Ed25519 key",
        public: "is no private key in PEM or of OpenSSH",
        encrypted: f"error: --key {encrypted}: is encrypted; set {PASSPHRASE}",
        str(tmp_path / "none"): "there is no such file",
    }.items():
        assert main(["sign", str(made.output), "--key", given]) == BAD_INPUT
        assert message in capsys.readouterr().err
    monkeypatch.setenv(PASSPHRASE, "eight geese")
    assert main(["sign", str(made.output), "--key", encrypted]) == BAD_INPUT
    assert "or the passphrase is wrong" in capsys.readouterr().err
    assert not (made.output / "manifest.json.sig").exists()
    figure = str(made.output / "report" / "curves.png")
    for given, message in {key: "is a private key", figure: "is no public key"}.items():
        assert main(["verify", str(made.output), "--public-key", given]) == BAD_INPUT
        assert message in capsys.readouterr().err


def test_a_terminal_is_asked_for_the_passphrase(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = write_keys(tmp_path, passphrase="seven geese")
    monkeypatch.delenv(PASSPHRASE, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("ngdiff.cli.sign.getpass", lambda prompt: "seven geese" if key in prompt else "")
    assert main(["sign", str(made.output), "--key", key]) == DONE


def test_without_the_package_it_is_named(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    key, _ = write_keys(tmp_path)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    assert main(["sign", str(made.output), "--key", key]) == BAD_INPUT
    assert "pip install 'ngdiff[sign]'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_verifies_it_too(made: Made, tmp_path: Path) -> None:
    key, public = write_keys(tmp_path)
    main(["sign", str(made.output), "--key", key])
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", "manifest.json"]
    words += ["-sigfile", "manifest.json.sig"]
    done = subprocess.run(words, cwd=made.output, capture_output=True, text=True)
    if "Unknown option" in done.stderr:
        pytest.skip("this openssl is too old for -rawin")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["sign", "verify", "ledger"])
def test_one_folder_is_taken(made: Made, command: str, capsys) -> None:
    key = ["--key", "key.pem"] if command == "sign" else []
    assert main([command, str(made.output), str(made.output), *key]) == BAD_INPUT
    assert f"ngdiff {command} takes one folder, not 2" in capsys.readouterr().err
