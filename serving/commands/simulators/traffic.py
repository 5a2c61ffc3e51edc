"""`croupier simulate traffic` and `clock`: a crowd for a running stack, and time that runs faster."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from croupier.features import clock
from croupier.features.utc import DAY, HOUR, from_us
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.commands.telling import App, AsJson, Out, prepared, to_stdout, told, written

TICK_SECONDS = 1.0


def simulate_clock(
    *,
    speed: Annotated[float, typer.Option(min=1.0, max=720.0, help="how many times as fast time runs")] = 60.0,
    start: Annotated[str, typer.Option(help="ISO time with zone at which it begins; empty: now")] = "",
    as_json: AsJson = False,
) -> None:
    """Print a value of CROUPIER_CLOCK, under which time runs faster for every process that has it.

    export CROUPIER_CLOCK=$(croupier simulate clock --speed 60)"""
    at = datetime.fromisoformat(start) if start else datetime.now(UTC)
    if at.tzinfo is None:
        raise ValueError(f"--start: found {start!r}, expected a time with its zone, such as 2026-03-01T00:00:00Z")
    value = clock.setting(at, speed=speed)
    if not told(as_json, {"CROUPIER_CLOCK": value}):
        typer.echo(value)


def simulate_traffic(
    *,
    app: App = "reels",
    per_day: Annotated[int, typer.Option(min=1, help="decisions a day of the loop's clock, on average")] = 6000,
    hours: Annotated[float, typer.Option(min=0.0, help="of the loop's clock; 0: until Ctrl-C")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="of the world")] = 1,
    url: Annotated[str, typer.Option(help="gRPC host:port of Triton; empty: the app's own here")] = "",
    declare: Annotated[bool, typer.Option("--declare", help="write the app and its first release, and end")] = False,
    out: Out = None,
) -> None:
    """A crowd of the reels world asks a running Triton for arms and clicks, all day long, on the loop's clock.

    `--declare` writes the app; `make up APP=reels` starts the stack. Each hour of the loop's clock prints how many
    came, which release served them, and how much of the best policy's lift over uniform they got."""
    from croupier.serving.simulation.month import visitors

    prepared(out)
    console = Console(quiet=to_stdout(out), soft_wrap=True, highlight=False, markup=False)
    world, found = World(seed=seed), []
    if declare:
        w = Workspace.open(app)
        new = visitors.declare(w, world)
        console.print(f"{'wrote' if new else 'found'} {w.home}/app.toml and catalogue.json; then: make up APP={app}")
    else:
        w = Workspace.known(app)
        for row in _stand(w, world, per_day, hours, url):
            found.append(row)
            console.print(_line(row))
    written(out, {"app": app, "hours": found})


def _stand(w: Workspace, world: World, per_day: int, hours: float, url: str) -> Iterator[dict[str, Any]]:
    """What each hour was like, and what was left of one at the end."""
    from croupier.serving.client.client import Client
    from croupier.serving.simulation.month.crowd import Crowd
    from croupier.serving.simulation.month.visitors import Visitors
    from croupier.serving.triton.endpoint_security import EndpointSecurity

    where = url or _server(w)
    began = clock.now_us()
    crowd = Crowd(world=world, start=began // DAY * DAY, per_day=per_day)
    security = EndpointSecurity.of(w.settings)
    with (
        Client(where, deadline_ms=1000.0, tls=security.tls, token=security.token) as client,
        suppress(KeyboardInterrupt),
    ):
        _await(client.connection.probe, w.settings.app, where)
        people, told_at = Visitors(crowd, client), clock.now_us()
        while not hours or clock.now_us() < began + hours * HOUR:
            people.come()
            if clock.now_us() - told_at >= HOUR:
                told_at += HOUR
                yield _row(w, told_at, people.taken(), people.refused)
            time.sleep(TICK_SECONDS)
        yield _row(w, clock.now_us(), people.taken(), people.refused)


def _server(w: Workspace) -> str:
    """The app's own server, if it runs here; else where CROUPIER_TRITON points."""
    from croupier.serving.operate.deployment import triton_address

    return triton_address(w) or w.settings.triton


def _await(answers: Callable[[], bool], app: str, url: str) -> None:
    """Waits until the server answers, for five minutes. Raises RuntimeError."""
    for attempt in range(150):
        if answers():
            return
        if attempt == 0:
            typer.echo(f"waiting for Triton at {url}: `make up APP={app}` starts it", err=True)
        time.sleep(2.0)
    raise RuntimeError(f"no server at {url} within five minutes; start it with `make up APP={app}`")


def _row(w: Workspace, at: int, sums: dict[str, float], refused: int) -> dict[str, Any]:
    from croupier.serving.release import rollout_store

    n, state = sums.get("decisions", 0.0), rollout_store.read_state(w.store)
    most = sums.get("best", 0.0) - sums.get("uniform", 0.0)
    names = [name for name in ("uniform", "served", "best") if name in sums]
    means: dict[str, Any] = {name: sums[name] / n if n else None for name in names}
    share = (sums["served"] - sums["uniform"]) / most if most > 0 else None
    return {
        "until": from_us(at),
        "decisions": round(n),
        **means,
        "lift_share_of_best": share,
        "refused": refused,
        "release": state.release if state else None,
        "stage": state.stage if state else None,
    }


def _line(row: dict[str, Any]) -> str:
    where = f"release {row['release']} at {row['stage']}" if row["release"] else "no release"
    if not row["decisions"]:
        return f"{row['until']:%a %d %b %H:%M}  nobody came; {where}"
    bad = f"; {row['refused']} refused so far" if row["refused"] else ""
    truth = f"uniform {row['uniform']:.4f}, best {row['best']:.4f}"
    return (
        f"{row['until']:%a %d %b %H:%M}  {row['decisions']:,} decisions worth {row['served']:.4f} clicks each "
        f"({truth}): {row['lift_share_of_best']:.0%} of the best lift; {where}{bad}"
    )
