"""Starts the gateway: what cannot work is said in one sentence before anything listens."""

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from croupier.features.workspace import Workspace
from croupier.serving.gateway.app import application
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.http.protocol import GatewayProtocol
from croupier.serving.gateway.http.workers import Workers
from croupier.serving.gateway.options import Options, loopback
from croupier.serving.triton.endpoint_security import EndpointSecurity

FACTORY = f"{application.__module__}:served"
STOP_SECONDS = 10
START_SECONDS = 60  # a worker that answers its parent no sooner is hung; on a busy machine its imports take long


def serve(options: Options) -> None:
    """Serves until it is stopped (SIGTERM, SIGINT). Raises ValueError where the app, the keys, the certificates or the
    address cannot be used."""
    w = Workspace.known(options.app)
    secured = _tls(EndpointSecurity.of(w.settings))
    application(options)  # reads the keys
    desk = Desk(options)
    desk.close()
    _free(options.host, options.port)
    print(said(options, desk, tls=bool(secured)), flush=True)
    logging.basicConfig(level=logging.WARNING)
    options.hand_over()
    asked = _asked(options) | secured
    if options.workers == 1:
        uvicorn.run(FACTORY, **asked)
    else:
        config = uvicorn.Config(FACTORY, **asked)
        Workers(config, [config.bind_socket()]).run()


def _asked(options: Options) -> dict[str, Any]:
    """What uvicorn is told."""
    return {
        "factory": True,
        "host": options.host,
        "port": options.port,
        "workers": options.workers,
        "http": GatewayProtocol,
        "ws": "none",
        "lifespan": "on",
        "log_level": "info",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": STOP_SECONDS,
        "timeout_worker_healthcheck": START_SECONDS,
    }


def said(options: Options, desk: Desk, *, tls: bool) -> str:
    """Where it listens and who can call it, as a person is told."""
    scheme = "https" if tls else "http"
    host = f"[{options.host}]" if ":" in options.host else options.host
    if not options.keys:
        reach = "without --keys only this machine can call it"
    elif tls or loopback(options.host):
        reach = "a key is asked for"
    else:
        reach = "a key is asked for, and travels in the clear: put TLS in front, or set CROUPIER_TLS_CERT and _KEY"
    return (
        f"gateway of {options.app} at {scheme}://{host}:{options.port}, {options.workers} process(es): {reach}; "
        f"Personalizer's rewards are of kind {desk.reward_kind}; Ctrl-C stops it"
    )


def _tls(security: EndpointSecurity) -> dict[str, Any]:
    """What uvicorn must be told to speak TLS, as CROUPIER_TLS_* say; nothing where they say nothing. Raises ValueError
    naming a file that is not what it should be."""
    if security.cert is None or security.key is None:
        return {}
    context, cert, key = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), security.cert, security.key
    for name, path in (("CERT", cert), ("CLIENTS", security.clients)):
        if path is not None:
            _tried(name, path, "certificates in PEM", partial(context.load_verify_locations, path))
    chain = partial(context.load_cert_chain, cert, key, password="")
    _tried("KEY", key, f"the private key of {cert}, in PEM, without a password", chain)
    found: dict[str, Any] = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}
    if security.clients is not None:
        found |= {"ssl_ca_certs": str(security.clients), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return found


def _tried(name: str, path: Path, expected: str, load: Callable[[], object]) -> None:
    """Raises ValueError where OpenSSL cannot use a file."""
    try:
        load()
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"CROUPIER_TLS_{name}: found {path} not to be used ({error}), expected {expected}") from None


def _free(host: str, port: int) -> None:
    """Raises ValueError where somebody listens there, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"--listen: found {host}:{port} not to be had ({error}), expected a free port") from None
