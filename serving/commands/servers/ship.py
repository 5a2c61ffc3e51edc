"""`croupier ship`: this host's log to the store, once by hand or by cron, or beside a server until it is stopped."""

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from croupier.features import upkeep
from croupier.features.log.spool import Spool
from croupier.features.store.storage import StoreError
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import LONGEST_PAUSE, App, AsJson, told

ship = typer.Typer()
Every = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=LONGEST_PAUSE,
        help="again after so many seconds, until SIGTERM, on which it ships once more; 0: once",
    ),
]
LAST_SECONDS, PAUSE_SECONDS = 15.0, 1.0  # what ends a pod leaves Triton 10 s and this process 20 (chart)
console = Console(soft_wrap=True, highlight=False, markup=False)


@ship.command("ship")
def _ship(app: App = "default", every: Every = 0.0, as_json: AsJson = False) -> None:
    """Ship this host's log to the store, each event once, and delete here what is safe there. Rows leave when they are
    verified in the store, and past the retry window (features/README.md). Beside each server: croupier ship --every 60.
    With --every an error is told, and the next turn goes on: nothing is lost while the store is down."""
    w = Workspace.known(app)
    with closing(w.spool()) as spool:
        if every:
            _beside(w, spool, every, as_json=as_json)
        else:
            _turn(w, spool, as_json=as_json)


def _beside(w: Workspace, spool: Spool, every: float, *, as_json: bool) -> None:
    """Turn after turn; the last one begins after the signal, so that nothing that was logged before it stays behind.
    Where the store fails just then it is tried again for LAST_SECONDS. Raises what keeps it from shipping."""
    end = math.inf
    with _stopped() as stop:
        while True:
            last = stop.is_set()
            end = min(end, time.monotonic() + LAST_SECONDS) if last else end
            try:
                _turn(w, spool, as_json=as_json)
                if last:
                    return
            except (ValueError, RuntimeError, OSError, StoreError) as error:
                if time.monotonic() >= end:
                    raise
                print(f"{datetime.now(UTC):%H:%M:%S} {error}", file=sys.stderr, flush=True)
            if last:
                time.sleep(PAUSE_SECONDS)
            else:
                stop.wait(every)


def _turn(w: Workspace, spool: Spool, *, as_json: bool) -> None:
    done = {"app": w.settings.app, **upkeep.carry(w, spool)}
    if not told(as_json, done):
        shipped = f"{done['decisions']:,} decisions, {done['rewards']:,} rewards, {done['rejects']:,} rejects shipped"
        console.print(
            f"{datetime.now(UTC):%H:%M:%S} {w.settings.app}: {shipped}; {done['pruned']:,} rows left this host"
        )


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, instead of ending the process."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
