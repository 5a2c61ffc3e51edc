"""`croupier exporter`: what Triton's own /metrics does not know, for Prometheus."""

import logging
import time
from typing import Annotated

import typer

from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import declared_apps, named
from croupier.serving.monitoring.exporter import serve
from croupier.serving.monitoring.reading import AppReader

exporter = typer.Typer()


def _all_named(ctx: typer.Context, param: typer.CallbackParam, values: list[str] | None) -> list[str]:
    return [named(ctx, param, value) for value in values or ()]


Apps = Annotated[
    list[str] | None,
    typer.Option(
        "--app",
        envvar="CROUPIER_APP",
        help="which bandit; may be repeated (default: every declared one)",
        autocompletion=declared_apps,
        callback=_all_named,
    ),
]


@exporter.command("exporter")
def _exporter(
    app: Apps = None,
    listen: Annotated[str, typer.Option(help="host:port of /metrics")] = "127.0.0.1:9109",
) -> None:
    """Export health, lift, ages, ship lag, rollout, quality and disk of apps as metrics, until it is stopped. Names:
    serving/monitoring/README.md. An app that breaks is croupier_up 0, and keeps no other from being scraped."""
    names = list(dict.fromkeys(app or declared_apps()))
    if not names:
        raise ValueError("exporter: found no declared app, expected --app NAME, or an app below CROUPIER_VAR")
    for name in names:
        Workspace.known(name)  # a misspelt name is told at once
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    server = serve([AppReader(name) for name in names], listen)
    host, port = server.server_address[:2]
    print(f"metrics of {', '.join(names)} at http://{host!s}:{port}/metrics", flush=True)
    try:
        while True:
            time.sleep(60.0)  # the server's threads do the work
    finally:
        server.shutdown()
