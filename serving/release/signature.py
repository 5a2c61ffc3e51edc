"""Who published a release: an Ed25519 signature of its manifest, and so of every byte that the manifest lists.

    CROUPIER_SIGNING_KEY    file of the private key (PEM, mode 0600): publish signs with it
    CROUPIER_VERIFY_KEY     file of the public keys (PEM, one after another): with it a host serves what one of them
                            signed for this very app, and refuses everything else

`manifest.sig` lies beside the manifest, in the store and on each host; the manifest, which it signs, does not list it.
Ed25519: Bernstein, Duif, Lange, Schwabe & Yang 2012, RFC 8032. A signature says who, not when: an older release of the
same app stays genuine, and which one is current is the store's word.
"""

import base64
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.key_file import keep_out
from croupier.serving.release.bundle import ReleaseRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PURPOSE = b"croupier release manifest, version 1\n"  # so that nothing else signed with the key can stand for a release
PRIVATE = 0o600  # mode of a private key
PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.S)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Files of keys; none: releases are neither signed nor asked for a signature."""

    signing: Path | None = None
    verify: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(signing=settings.signing_key, verify=settings.verify_key)


def make(signing: Path, verify: Path) -> str:
    """A new pair of keys, in two new files, the private one 0600. Returns its fingerprint. Raises FileExistsError."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    if verify.exists():
        raise FileExistsError(f"{verify}: found a file, expected none: a key is never written over")
    write_new(signing, private, PRIVATE)
    write_new(verify, public, 0o644)
    return fingerprint(key.public_key())


def write_new(path: Path, content: bytes, mode: int) -> None:
    """A file that was not there, with its mode from the beginning; git is told of private ones. Raises
    FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == PRIVATE:
        keep_out(path.parent, [f"*{layout.PRIVATE_KEY}"])
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise FileExistsError(f"{path}: found a file, expected none: a key is never written over") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def sign(folder: Path, *, app: str, keys: Keys) -> bool:
    """Write the signature of the folder's manifest, if there is a key. Raises ValueError for a file that is no key, or
    that others may read."""
    if keys.signing is None:
        return False
    key = _loaded("CROUPIER_SIGNING_KEY", keys.signing, _private)
    raw = (folder / layout.MANIFEST).read_bytes()
    signed = {
        "app": app,
        "key": fingerprint(key.public_key()),
        "signature": base64.b64encode(key.sign(_message(app, raw))).decode(),
    }
    (folder / layout.SIGNATURE).write_bytes(orjson.dumps(signed))
    return True


def check(folder: Path, *, app: str, keys: Keys) -> None:
    """Raises ReleaseRefused unless one of the keys signed this manifest for this app; passes where there is no key."""
    if keys.verify is None:
        return
    trusted = {fingerprint(key): key for key in _loaded("CROUPIER_VERIFY_KEY", keys.verify, _public)}
    expected = f"one by a key of {keys.verify} ({', '.join(sorted(trusted))}) for the app {app!r}"
    try:
        signed = orjson.loads((folder / layout.SIGNATURE).read_bytes())
        by, of, signature = str(signed["key"]), str(signed["app"]), base64.b64decode(signed["signature"], validate=True)
    except FileNotFoundError:
        raise ReleaseRefused(folder, layout.SIGNATURE, "no signature", expected) from None
    except (ValueError, KeyError, TypeError):
        raise ReleaseRefused(folder, layout.SIGNATURE, "a file that is no signature", expected) from None
    if by not in trusted or of != app:
        raise ReleaseRefused(folder, layout.SIGNATURE, f"one by the key {by[:40]!r} for the app {of[:40]!r}", expected)
    if not _genuine(trusted[by], signature, _message(app, (folder / layout.MANIFEST).read_bytes())):
        found = f"a signature that the key {by} did not make of this manifest"
        raise ReleaseRefused(folder, layout.SIGNATURE, found, expected)


def fingerprint(key: "Ed25519PublicKey") -> str:
    """What a key is called: the beginning of the SHA-256 of its 32 bytes."""
    import hashlib

    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _message(app: str, manifest: bytes) -> bytes:
    return PURPOSE + app.encode() + b"\n" + manifest


def _genuine(key: "Ed25519PublicKey", signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _loaded(name: str, path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except (OSError, ValueError, TypeError) as error:
        expected = "PEM of Ed25519, as `croupier keys make` writes"
        raise ValueError(f"{name}: found {path}: {error}; expected {expected}") from None


def _private(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ValueError(f"mode {mode:04o}, a private key is 0600")
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"a {type(key).__name__}")
    return key


def _public(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = [load_pem_public_key(pem) for pem in PEM.findall(path.read_bytes())]
    strange = [type(key).__name__ for key in keys if not isinstance(key, Ed25519PublicKey)]
    if strange or not keys:
        raise ValueError(f"a {strange[0]}" if strange else "no public key in it")
    return keys
