"""`croupier gateway`: the embedded selector over HTTP."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App

app = typer.Typer()


class UnknownFeatures(StrEnum):
    """What becomes of features that nobody declared."""

    refuse = "refuse"
    ignore = "ignore"


Listen = Annotated[str, typer.Option(metavar="HOST:PORT", help="where; beyond loopback only with --keys")]
Keys = Annotated[Path | None, typer.Option(dir_okay=False, help="a file of one or two keys, a line each; mode 0600")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="processes")]
Kind = Annotated[str, typer.Option(help="the kind of Personalizer's rewards, where the app declares several")]
Unknown = Annotated[UnknownFeatures, typer.Option(help="what becomes of Personalizer's features that app.toml lacks")]


@app.command("gateway")
def _gateway(
    *,
    app: App = "default",
    listen: Listen = "127.0.0.1:8090",
    keys: Keys = None,
    workers: Workers = 1,
    reward_kind: Kind = "",
    unknown_features: Unknown = UnknownFeatures.refuse,
) -> None:
    """Serve an app over HTTP until stopped: Azure Personalizer's calls, and a REST interface (/openapi.json)."""
    Workspace.known(app)
    from croupier.serving.gateway.options import Options  # the server's libraries, once there is an app
    from croupier.serving.gateway.serve import serve

    asked = {"app": app, "workers": workers, "reward_kind": reward_kind, "unknown": unknown_features.value}
    serve(Options.of(listen=listen, keys=keys, **asked))
