"""`croupier serve …`: Triton, up and down."""

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from features.settings import Settings
from serving.triton import repository, server
from serving.triton.binary import TritonUnavailable
from serving.triton.server import LOOPBACK, TritonServer

app = typer.Typer(no_args_is_help=True, help="Triton: up, down, or in the foreground.")
App = Annotated[str, typer.Option(help="which bandit: a folder under var (default: CROUPIER_APP)")]
Host = Annotated[str, typer.Option(help="address to listen on; the wheel's server is for loopback only")]


def triton(app: str = "", host: str = LOOPBACK) -> TritonServer:
    """The server that the settings name: gRPC on the port of CROUPIER_TRITON, HTTP one below, metrics one above."""
    settings = Settings(app=app) if app else Settings()
    return TritonServer(settings.home, grpc_port=int(settings.triton.rpartition(":")[2]), host=host)


@app.command()
def up(app: App = "") -> None:
    """Start Triton in the background and wait until it is ready."""
    print(f"Triton is ready: gRPC {triton(app).start().grpc}; stop it with `croupier serve down`")


@app.command()
def down(app: App = "") -> None:
    """Stop it and everything it started."""
    print("stopped" if server.stop_recorded(triton(app).home) else "it was not running")


@app.command()
def status(app: App = "") -> None:
    """Does it run, where, and which releases are in its repository?"""
    asked = triton(app)
    record = server.running(asked.home)
    releases = ", ".join(map(str, repository.versions(asked.home / "triton", "select_arm"))) or "none yet"
    state = f"pid {record['pid']}, gRPC {LOOPBACK}:{record['ports']['grpc']}" if record else "not running"
    print(f"{state}; releases here: {releases}; log: {asked.log}")
    raise typer.Exit(0 if record else 3)


@app.command()
def run(app: App = "", host: Host = LOOPBACK) -> None:
    """In the foreground, for containers and supervisors: ends with Triton, or stops it on SIGTERM."""
    ended = threading.Event()

    def _end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    with triton(app, host) as running:
        print(f"Triton is ready: gRPC {running.grpc}", flush=True)
        while running.alive() and not ended.wait(0.5):
            pass
        died = not running.alive()
    if died:
        raise TritonUnavailable(f"tritonserver ended by itself; {running.log} ends:\n{server.tail(running.log)}")
