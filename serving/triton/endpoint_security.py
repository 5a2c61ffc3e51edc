"""Who may call the server: TLS, mutual where asked, and an API token; without them, this machine alone.

| port    | beyond loopback            | asks for                                                     |
|---------|----------------------------|--------------------------------------------------------------|
| gRPC    | with TLS and a token       | TLS (CROUPIER_TLS_CERT, _KEY; mutual: _CLIENTS), CROUPIER_TOKEN |
| HTTP    | never: Triton has no TLS there | CROUPIER_TOKEN, where it is set                          |
| metrics | with the gRPC port         | nothing: numbers to read                                     |

The administration's secret (admin.py) is asked for on every port besides. Our own callers (supervisor, trial,
catalogue) read the same settings: CROUPIER_TLS_ROOT, CROUPIER_TLS_NAME, and their host's own certificate.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import tritonclient.grpc as triton_grpc

from croupier.features.settings import Settings
from croupier.serving.client.secure import Tls
from croupier.serving.contract.access import TOKEN, TOKEN_HEADER
from croupier.serving.triton.binary import TritonUnavailable

ASKED = "inference,metadata,model-config,statistics"  # what needs the token; `health` needs none


@dataclass(frozen=True, kw_only=True)
class EndpointSecurity:
    """`cert`, `key`: the server's own; `clients`: who signs those that come in; `root`, `name`: as callers know it."""

    cert: Path | None = None
    key: Path | None = None
    clients: Path | None = None
    root: Path | None = None
    name: str = ""
    token: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ValueError naming what is half given, or not there."""
        security = cls(
            cert=_file("TLS_CERT", settings.tls_cert),
            key=_file("TLS_KEY", settings.tls_key),
            clients=_file("TLS_CLIENTS", settings.tls_clients),
            root=_file("TLS_ROOT", settings.tls_root),
            name=settings.tls_name,
            token=settings.token.get_secret_value(),
        )
        security._check()
        return security

    def _check(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("CROUPIER_TLS_CERT, CROUPIER_TLS_KEY: found one of them, expected both or neither")
        if self.clients is not None and self.cert is None:
            raise ValueError("CROUPIER_TLS_CLIENTS: found it without CROUPIER_TLS_CERT and _KEY, expected all three")
        if self.token and (len(self.token) < 16 or not self.token.isascii() or set(self.token) & set(" ,:=\n")):
            expected = "16 or more ASCII characters without space , : =, such as `openssl rand -hex 32`"
            raise ValueError(f"CROUPIER_TOKEN: found {len(self.token)} characters, expected {expected}")

    @property
    def secure(self) -> bool:
        """Fit for a network: nobody reads along, and nobody comes in without the token."""
        return self.cert is not None and bool(self.token)

    def refuse_exposure(self, host: str) -> None:
        """Raises TritonUnavailable where the server would listen beyond loopback without TLS and a token."""
        if not self.secure:
            found = "no TLS certificate" if self.cert is None else "no API token"
            raise TritonUnavailable(
                f"host {host!r}: found {found}, expected CROUPIER_TLS_CERT, CROUPIER_TLS_KEY and CROUPIER_TOKEN: "
                "without them the server listens on loopback only; set them (`croupier keys tls`), or use "
                "--host 127.0.0.1"
            )

    def arguments(self) -> list[str]:
        """What tritonserver must be started with."""
        given = []
        if self.cert is not None:
            given += ["--grpc-use-ssl=true", f"--grpc-server-cert={self.cert}", f"--grpc-server-key={self.key}"]
        if self.clients is not None:
            given += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={self.clients}"]
        if self.token:
            asked = f"{ASKED}:{TOKEN}={self.token}"
            given += [f"--http-restricted-api={asked}", f"--grpc-restricted-protocol={asked}"]
        return given

    @property
    def tls(self) -> Tls | None:
        """What a caller of ours needs; where no root is given, the server's own certificate must be its root."""
        if self.root is None and self.cert is None:
            return None
        return Tls(root=self.root or self.cert, certificate=self.cert, key=self.key, name=self.name)

    def client(self, url: str) -> Any:
        """Triton's own client to a server with this security, for administration and trial."""
        tls = self.tls
        if tls is None:
            return triton_grpc.InferenceServerClient(url)
        files = {name: str(path) for name, path in (
            ("root_certificates", tls.root), ("private_key", tls.key), ("certificate_chain", tls.certificate),
        ) if path is not None}  # fmt: skip
        return triton_grpc.InferenceServerClient(url, ssl=True, channel_args=tls.options, **files)

    @property
    def headers(self) -> dict[str, str]:
        """What every call of ours carries."""
        return {TOKEN_HEADER: self.token} if self.token else {}


def _file(name: str, path: Path | None) -> Path | None:
    if path is None:
        return None
    if not path.is_file():
        raise ValueError(f"CROUPIER_{name}: found no file {path}, expected a PEM file")
    return path.absolute()
