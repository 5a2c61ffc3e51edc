"""What a client shows and asks of the server: TLS, mutual where the server asks for it, and an API token."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from croupier.serving.contract.access import TOKEN_HEADER


@dataclass(frozen=True, kw_only=True)
class Tls:
    """PEM files. `root` signed the server's certificate (None: the authorities that gRPC comes with); `certificate` and
    `key` are the client's own, for a server that asks for them; `name` is what the server's certificate is made out
    to, where it is not the host of the URL."""

    root: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            found = "a certificate without its key" if self.key is None else "a key without its certificate"
            raise ValueError(f"tls: found {found}, expected both or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises OSError naming a file that is not there."""
        root, key, own = (None if p is None else p.read_bytes() for p in (self.root, self.key, self.certificate))
        return grpc.ssl_channel_credentials(root_certificates=root, private_key=key, certificate_chain=own)

    @property
    def options(self) -> list[tuple[str, str]]:
        """gRPC's channel options."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """What every call carries."""
    return ((TOKEN_HEADER, token),) if token else ()


def refuse_open_token(url: str, tls: Tls | None, token: str) -> None:
    """Raises ValueError where a token would cross a network for everybody to read."""
    host = url.rpartition(":")[0].strip("[]")
    if token and tls is None and not loopback(host):
        raise ValueError(f"token: found no TLS to {url}, expected tls=Tls(root=…): in the clear anybody could read it")


def loopback(host: str) -> bool:
    """Does this address stay on the machine?"""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
