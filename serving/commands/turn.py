"""`croupier turn`: the loop on a host without Airflow, once, or again and again."""

import shlex
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from croupier.features import clock, scheduled
from croupier.features.spec_values import seconds_of
from croupier.features.store.storage import StoreError
from croupier.features.utc import DAY, SECOND, from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import LONGEST_PAUSE, App, AsJson, told
from croupier.serving.operate import verdict_release

app = typer.Typer()
Every = Annotated[
    float, typer.Option(min=0.0, max=LONGEST_PAUSE, help="again after so many seconds, until it is stopped; 0: once")
]
Last = Annotated[str, typer.Option(help="by hand: not what is due, but so much of the log, such as 2h, up to now")]
console = Console(soft_wrap=True, highlight=False, markup=False)


@app.command("turn")
def _turn(app: App = "default", every: Every = 0.0, last: Last = "", as_json: AsJson = False) -> None:
    """Collect the log, build the hours that are due, train and judge when a training is due, publish what the gate
    promotes, and look at the rollout: what the four DAGs do, once. For cron, or beside an embedded selector. Hours that
    did not pass their checks are named, with exit code 1; with --every an error is told, and the next turn goes on."""
    Workspace.known(app)
    from croupier.serving.operate import loop  # the learners' libraries, once it is known that there is an app

    while True:
        try:
            done = loop.turn(app, _asked(last) if last else None)
            if not told(as_json, done):
                console.print(f"{datetime.now(UTC):%H:%M:%S} {said(app, done)}")
            scheduled.raise_refused(done)
        except (ValueError, RuntimeError, KeyError, OSError, StoreError) as error:
            if not every:
                raise
            print(f"{datetime.now(UTC):%H:%M:%S} {error}", file=sys.stderr)  # the next turn takes up what is due
        if not every:
            return
        time.sleep(every)


def _asked(last: str) -> tuple[str, str]:
    """The interval that ends now. Raises ValueError where `last` is no duration."""
    now = clock.now_us()
    try:
        seconds = seconds_of(last)
    except ValueError as error:
        raise ValueError(f"--last: found {last!r}, {error}") from None
    return from_us(now - int(seconds * SECOND)).isoformat(), from_us(now).isoformat()


def over(app: str, start: int) -> str:
    """The command that takes up the log from `start` (UTC µs) on: without --last only hours of late are due."""
    days = max(1, -(-(clock.now_us() - start) // DAY))
    return f"croupier turn --app {shlex.quote(app)} --last {days}d"


def said(app: str, done: dict[str, Any]) -> str:
    """What a turn did, in a sentence; below it what was judged, and the page that says why."""
    looked = done["rollout"]
    at = f"stage {looked['stage']}" + (f", release {looked['release']}" if "release" in looked else "")
    at += f"; {looked['prices']}" if "prices" in looked else ""
    if done["verdict"] is None:
        return f"{app}: no training was due; {at}"
    judged, page = done["verdict"]["summary"].splitlines(), done["verdict"]["report"]
    return "\n  ".join([f"{verdict_release.said(done['verdict']['published'])}; {at}", *judged, f"page: {page}"])
