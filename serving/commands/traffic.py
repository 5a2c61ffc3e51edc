"""`croupier simulate traffic` and `clock`: a crowd for a running stack, and time that runs faster."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from features import clock
from features.partitions import HOUR, from_us
from features.workspace import Workspace
from features.worlds.reels import World

console = Console(soft_wrap=True, highlight=False, markup=False)
App = Annotated[str, typer.Option(envvar="CROUPIER_APP", help="which bandit: a folder under var")]
TICK_SECONDS = 1.0


def simulate_clock(
    *,
    speed: Annotated[float, typer.Option(min=1.0, max=720.0, help="how many times as fast time runs")] = 60.0,
    start: Annotated[str, typer.Option(help="ISO time with zone at which it begins; empty: now")] = "",
) -> None:
    """Print a value of CROUPIER_CLOCK, under which time runs faster for every process that has it.

    export CROUPIER_CLOCK=$(croupier simulate clock --speed 60)"""
    at = datetime.fromisoformat(start) if start else datetime.now(UTC)
    if at.tzinfo is None:
        raise ValueError(f"--start: found {start!r}, expected a time with its zone, such as 2026-03-01T00:00:00Z")
    typer.echo(clock.setting(at, speed=speed))


def simulate_traffic(
    *,
    app: App = "reels",
    per_day: Annotated[int, typer.Option(min=1, help="decisions a day of the loop's clock, on average")] = 6000,
    hours: Annotated[float, typer.Option(min=0.0, help="of the loop's clock; 0: until Ctrl-C")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="of the world")] = 1,
    url: Annotated[str, typer.Option(help="gRPC host:port of Triton; empty: the app's own here")] = "",
    declare: Annotated[bool, typer.Option("--declare", help="write the app and its first release, and end")] = False,
) -> None:
    """A crowd of the reels world asks a running Triton for arms and clicks, all day long, on the loop's clock.

    The app is written if it is not there. Each hour of the loop's clock prints how many came, which release served
    them, and how much of the best policy's lift over uniform they got. Start the stack with `make up APP=reels`."""
    from serving.month import visitors
    from serving.triton import server

    w, world = Workspace.open(app), World(seed=seed)
    if visitors.declare(w, world):
        console.print(f"wrote {w.home}/app.toml and catalogue.json; release 1 is uniform")
    if not declare:
        here = server.running(w.home)  # each app has ports of its own
        there = f"127.0.0.1:{here['ports']['grpc']}" if here else w.settings.triton
        _stand(w, world, per_day, hours, url or there)


def _stand(w: Workspace, world: World, per_day: int, hours: float, url: str) -> None:
    from serving.client import Client
    from serving.month.crowd import DAY, Crowd
    from serving.month.visitors import Visitors

    began = clock.now_us()
    crowd = Crowd(world=world, start=began // DAY * DAY, per_day=per_day)
    with Client(url, deadline_ms=1000.0) as client:
        _await(client.connection.probe, w.settings.app, url)
        people, printed = Visitors(crowd, client), clock.now_us()
        try:
            while not hours or clock.now_us() < began + hours * HOUR:
                people.come()
                if clock.now_us() - printed >= HOUR:
                    printed += HOUR
                    console.print(_line(w, printed, people.taken(), people.refused))
                time.sleep(TICK_SECONDS)
        except KeyboardInterrupt:
            pass
        console.print(_line(w, clock.now_us(), people.taken(), people.refused))


def _await(answers: Callable[[], bool], app: str, url: str) -> None:
    """Until the server answers, for five minutes. Raises RuntimeError."""
    for attempt in range(150):
        if answers():
            return
        if attempt == 0:
            console.print(f"waiting for Triton at {url}: `make up APP={app}` starts it")
        time.sleep(2.0)
    raise RuntimeError(f"no server at {url} within five minutes; start it with `make up APP={app}`")


def _line(w: Workspace, at: int, sums: dict[str, float], refused: int) -> str:
    from serving import rollout

    n, state = sums.get("decisions", 0.0), rollout.read_state(w.store)
    where = f"release {state.release} at {state.stage}" if state else "no release"
    if not n:
        return f"{from_us(at):%a %d %b %H:%M}  nobody came; {where}"
    gain, most = sums["served"] - sums["uniform"], sums["best"] - sums["uniform"]
    share = gain / most if most > 0 else 0.0
    bad = f"; {refused} refused so far" if refused else ""
    return (f"{from_us(at):%a %d %b %H:%M}  {n:,.0f} decisions worth {sums['served'] / n:.4f} clicks each "
            f"(uniform {sums['uniform'] / n:.4f}, best {sums['best'] / n:.4f}): {share:.0%} of the best lift; "
            f"{where}{bad}")  # fmt: skip
