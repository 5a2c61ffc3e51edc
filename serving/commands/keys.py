"""`croupier keys …`: keys and certificates, made here, in files of their own."""

from pathlib import Path
from typing import Annotated

import typer

from croupier.features.store import layout
from croupier.serving.commands.telling import AsJson, told

app = typer.Typer(no_args_is_help=True, help="Keys that sign releases, and certificates for TLS.")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="where release.key and release.pub are written")],
    as_json: AsJson = False,
) -> None:
    """A pair of Ed25519 keys: who publishes signs with the one, every host verifies with the other."""
    from croupier.serving.release import signature

    signing, verify = folder / layout.SIGNING_KEY, folder / layout.VERIFY_KEY
    name = signature.make(signing, verify)
    if not told(as_json, {"key": name, "signing": signing, "verify": verify}):
        print(
            f"key {name}; who publishes sets CROUPIER_SIGNING_KEY={signing.absolute()} (keep it there alone), "
            f"every host CROUPIER_VERIFY_KEY={verify.absolute()}"
        )


@app.command()
def tls(
    folder: Annotated[Path, typer.Argument(help="where ca.crt, server.crt, server.key and the clients' are written")],
    host: Annotated[list[str], typer.Option(help="name or address that callers reach the server by; may be repeated")],
    client: Annotated[
        list[str] | None, typer.Option(help="a caller with a certificate of its own, for mutual TLS; may be repeated")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """An authority and the certificates it signs, where there is no authority of the company's own."""
    from croupier.serving.triton import certificates

    made = certificates.make(folder, host, client or [])
    if not told(as_json, {"files": made}):
        there = folder.absolute()
        print(
            f"{len(made)} files in {there}; the server: CROUPIER_TLS_CERT={there}/server.crt "
            f"CROUPIER_TLS_KEY={there}/server.key CROUPIER_TLS_ROOT={there}/ca.crt, for mutual TLS "
            f"CROUPIER_TLS_CLIENTS={there}/ca.crt; a caller: Client(url, tls=Tls(root=Path('{there}/ca.crt')), token=…)"
        )
