"""`croupier serve …`: Triton, up and down."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import AsJson, declared_apps, named, told
from croupier.serving.operate import supervisor
from croupier.serving.triton import binary, chosen_ports, repository, server
from croupier.serving.triton.server import LOOPBACK, Ports, TritonServer

app = typer.Typer(no_args_is_help=True, help="Triton: up, down, or in the foreground.")
App = Annotated[
    str,
    typer.Option(
        help="which bandit: a folder under var (default: CROUPIER_APP)", autocompletion=declared_apps, callback=named
    ),
]
Host = Annotated[str, typer.Option(help="address to listen on; the wheel's server is for loopback only")]


def triton(app: str = "", host: str = LOOPBACK, *, choose: bool = False) -> TritonServer:
    """The app's server, with the ports that CROUPIER_TRITON says or that it had before (triton/chosen_ports.py).

    `choose`: where it had none, they are chosen now and remembered."""
    settings = Workspace.meant(app or Settings().app).settings
    ports = chosen_ports.chosen(settings) if choose else chosen_ports.known(settings)
    return TritonServer(settings.home, ports=ports or Ports(), host=host)


@app.command()
def up(app: App = "", as_json: AsJson = False) -> None:
    """Start Triton in the background, supervised, and wait until it is ready.

    Its ports are chosen at the first time and remembered, so that several apps share a host."""
    asked = triton(app, choose=True)  # first: a wrong name or address is wrong with or without a server here
    binary.require()
    supervisor.up(asked.home, grpc_port=asked.ports.grpc)
    if not told(as_json, _described(asked)):
        print(
            f"Triton is ready: gRPC {asked.grpc}, HTTP {asked.ports.http}, metrics {asked.ports.metrics}; "
            f"app {asked.home.name} of {asked.home.parent}; {_reach(asked)}; stop it with `croupier serve down`"
        )


@app.command()
def down(app: App = "", as_json: AsJson = False) -> None:
    """Stop it and everything it started."""
    home = triton(app).home
    stopped = supervisor.down(home)
    if not told(as_json, {"app": home.name, "stopped": stopped}):
        print("stopped" if stopped else "it was not running")


@app.command()
def status(app: App = "", as_json: AsJson = False) -> None:
    """Does it run, on which ports, and which releases are in its repository? Exit code 3: it does not run."""
    asked = triton(app)
    found = _described(asked)
    if not told(as_json, found):
        releases = ", ".join(map(str, found["releases"])) or "none yet"
        state = f"pid {found['pid']}, gRPC {LOOPBACK}:{found['ports']['grpc']}" if found["running"] else "not running"
        print(f"{state}; releases here: {releases}; log: {asked.log}")
    raise typer.Exit(0 if found["running"] else 3)


@app.command()
def health(app: App = "", as_json: AsJson = False) -> None:
    """One canary selection: exit code 0 when an arm came back, 1 when not. (`is_model_ready` stays true for a dead
    stub.) Before the first release: is the server there?"""
    asked = triton(app)
    record = server.running(asked.home)
    if record is None:  # whoever answers on the port is not this app's server
        well, why = False, f": no server of app {asked.home.name} runs here ({asked.home})"
    else:
        asked = TritonServer(asked.home, grpc_port=record["ports"]["grpc"])
        released = bool(repository.versions(asked.home / layout.REPOSITORY, "select_arm"))
        well, why = supervisor.healthy(asked.grpc) if released else server.ready(asked.ports, "reward"), ""
    if not told(as_json, {"app": asked.home.name, "healthy": well, "why": why.removeprefix(": ")}):
        print("healthy" if well else f"not healthy{why}")
    raise typer.Exit(0 if well else 1)


@app.command()
def run(app: App = "", host: Host = LOOPBACK) -> None:
    """In the foreground, for containers: restarted when it dies or does not decide, stopped by SIGTERM."""
    supervisor.run(triton(app, host, choose=True))


def _reach(asked: TritonServer) -> str:
    """Who can call it, as a person is told."""
    if asked.security.secure:
        return "TLS and a token are asked for"
    return "this machine alone can call it, as it has no TLS and API token (serving/README.md)"


def _described(asked: TritonServer) -> dict[str, Any]:
    """What runs over the app's home, as JSON; ports are those it has, or will have, None before they are chosen."""
    record = server.running(asked.home)
    chosen = chosen_ports.known(Workspace.open(asked.home.name).settings)
    releases = repository.versions(asked.home / layout.REPOSITORY, "select_arm")
    return {
        "app": asked.home.name,
        "running": record is not None,
        "pid": record["pid"] if record else None,
        "ports": record["ports"] if record else asdict(chosen) if chosen else None,
        "releases": releases,
        "log": asked.log,
    }
