"""`croupier serve …`: Triton, up and down."""

from typing import Annotated

import typer

from features.settings import Settings
from serving.triton import repository, server, supervisor
from serving.triton.server import LOOPBACK, TritonServer

app = typer.Typer(no_args_is_help=True, help="Triton: up, down, or in the foreground.")
App = Annotated[str, typer.Option(help="which bandit: a folder under var (default: CROUPIER_APP)")]
Host = Annotated[str, typer.Option(help="address to listen on; the wheel's server is for loopback only")]


def triton(app: str = "", host: str = LOOPBACK) -> TritonServer:
    """The server that the settings name: gRPC on the port of CROUPIER_TRITON, HTTP one below, metrics one above."""
    settings = Settings(app=app) if app else Settings()
    port = settings.triton.rpartition(":")[2]
    if ":" not in settings.triton or not port.isdecimal() or not 1 < int(port) < 65535:
        expected = "host:port, the port from 2 to 65534 (HTTP is one below, metrics one above)"
        raise ValueError(f"CROUPIER_TRITON: found {settings.triton!r}, expected {expected}")
    return TritonServer(settings.home, grpc_port=int(port), host=host)


@app.command()
def up(app: App = "") -> None:
    """Start Triton in the background, supervised, and wait until it is ready."""
    asked = triton(app)
    supervisor.up(asked.home, grpc_port=asked.ports.grpc)
    print(f"Triton is ready: gRPC {asked.grpc}; stop it with `croupier serve down`")


@app.command()
def down(app: App = "") -> None:
    """Stop it and everything it started."""
    print("stopped" if supervisor.down(triton(app).home) else "it was not running")


@app.command()
def status(app: App = "") -> None:
    """Does it run, where, and which releases are in its repository? Exit code 3: it does not."""
    asked = triton(app)
    record = server.running(asked.home)
    releases = ", ".join(map(str, repository.versions(asked.home / "triton", "select_arm"))) or "none yet"
    state = f"pid {record['pid']}, gRPC {LOOPBACK}:{record['ports']['grpc']}" if record else "not running"
    print(f"{state}; releases here: {releases}; log: {asked.log}")
    raise typer.Exit(0 if record else 3)


@app.command()
def health(app: App = "") -> None:
    """One canary selection: exit code 0 when an arm came back, 1 when not. (`is_model_ready` stays true for a dead
    stub.) Before the first release: is the server there?"""
    asked = triton(app)
    record = server.running(asked.home)
    if record is None:  # whoever answers on the port is not this app's server
        print(f"not healthy: no server of app {asked.home.name} runs here ({asked.home})")
        raise typer.Exit(1)
    asked = TritonServer(asked.home, grpc_port=record["ports"]["grpc"])
    released = bool(repository.versions(asked.home / "triton", "select_arm"))
    well = supervisor.healthy(asked.grpc) if released else server.ready(asked.ports, "reward")
    print("healthy" if well else "not healthy")
    raise typer.Exit(0 if well else 1)


@app.command()
def run(app: App = "", host: Host = LOOPBACK) -> None:
    """In the foreground, for containers: restarted when it dies or does not decide, stopped by SIGTERM."""
    supervisor.run(triton(app, host))
