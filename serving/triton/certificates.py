"""TLS for an installation of one's own: an authority, and certificates that it signs for the server and for callers.

Where a company has an authority, its certificates do as well: CROUPIER_TLS_* name files, whoever made them.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croupier.features.store import layout
from croupier.serving.release.signature import write_new

DAYS = 397  # what browsers and gateways accept at most


@dataclass(frozen=True)
class _Pair:
    """A private key and its certificate."""

    key: Any
    certificate: Any


def make(folder: Path, hosts: Sequence[str], clients: Sequence[str], days: int = DAYS) -> list[Path]:
    """`ca.crt`, `server.crt|.key` for `hosts` (names or addresses), and `<client>.crt|.key` for each of `clients`. The
    authority's own key is not kept: for more certificates make a new authority. Raises FileExistsError, ValueError."""
    if not hosts:
        raise ValueError("hosts: found none, expected the names or addresses that callers reach the server by")
    authority = _signed("croupier authority", None, days, ())
    pairs = {"server": _signed(hosts[0], authority, days, hosts)}
    pairs |= {name: _signed(name, authority, days, ()) for name in clients}
    files = {folder / layout.AUTHORITY: (_pem(authority.certificate), 0o644)}
    for name, pair in pairs.items():
        files[folder / f"{name}{layout.CERTIFICATE}"] = (_pem(pair.certificate), 0o644)
        files[folder / f"{name}{layout.PRIVATE_KEY}"] = (_private(pair.key), 0o600)
    for path, (content, mode) in files.items():
        write_new(path, content, mode)
    return list(files)


def _signed(name: str, by: _Pair | None, days: int, hosts: Sequence[str]) -> _Pair:
    """A certificate signed `by` an authority; None: an authority, which signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(
        issuer_name=subject if by is None else by.certificate.subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(hours=1),
        not_valid_after=now + dt.timedelta(days=days),
    )
    limits = x509.BasicConstraints(ca=by is None, path_length=0 if by is None else None)
    made = made.add_extension(limits, critical=True)
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName([_host(x509, host) for host in hosts]), critical=False)
    return _Pair(key, made.sign(key if by is None else by.key, hashes.SHA256()))


def _host(x509: Any, host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(certificate.public_bytes(Encoding.PEM))


def _private(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    return bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
