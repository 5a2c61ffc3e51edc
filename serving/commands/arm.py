"""`croupier arm …`: add, retire, pause and resume arms, live at once and without a promotion; see which there are."""

import difflib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from croupier.features.build import released_encoder
from croupier.features.clock import now_us
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.known_arms import known_arms, released_arms
from croupier.features.schema import Arm
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.storage import StoreError
from croupier.features.utc import from_us, to_us
from croupier.features.workspace import Workspace
from croupier.serving.catalogue import edits
from croupier.serving.catalogue.newcomers import shown
from croupier.serving.catalogue.present_arms import newcomers_of
from croupier.serving.commands.telling import App
from croupier.serving.release import bundle_store
from croupier.serving.release.newcomer_share import Newcomers

app = typer.Typer(no_args_is_help=True, help="Arms: which there are, and adding, retiring, pausing them.")
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ARM]...", help="ids of arms")]
IdFile = Annotated[Path | None, typer.Option("--file", help="their ids: a JSON list, or a CSV with a column arm_id")]
ArmFile = Annotated[Path | None, typer.Option("--file", help="arms as in catalogue.json, or a CSV with arm_id")]
AsJson = Annotated[bool, typer.Option("--json", help="say it as JSON")]
Time = Annotated[datetime | None, typer.Option(help="UTC")]
Features = Annotated[list[str] | None, typer.Option("--feature", help="NAME=VALUE; may be repeated")]
console = Console(markup=False, soft_wrap=True, highlight=False)
Step = Callable[[Sequence[Arm]], list[Arm]]


@app.command("add")
def add_arm(
    arm: Annotated[str, typer.Argument(help="id of one arm")] = "",
    *,
    app: App = "default",
    feature: Features = None,
    valid_from: Time = None,
    valid_to: Time = None,
    file: ArmFile = None,
    change: Annotated[bool, typer.Option("--change", help="give arms that are there new features")] = False,
    as_json: AsJson = False,
) -> None:
    """Add an arm with its features, or all of a file; with --change also new features and times of known ones."""
    w = Workspace.known(app)
    if bool(arm) == (file is not None):
        raise ValueError("arm add: expected an arm id, or --file with several")
    new = (
        edits.read_arms(file)
        if file
        else [Arm(arm_id=arm, features=_features(feature), valid_from=_us(valid_from), valid_to=_us(valid_to))]
    )
    new = DeclaredFeatures(w.spec).arms(new)
    _say_unused(w, new, as_json)
    _edit(w, partial(edits.add, new=new, change=change), [each.arm_id for each in new], as_json)


@app.command()
def retire(
    arm: Ids = None, app: App = "default", file: IdFile = None, at: Time = None, as_json: AsJson = False
) -> None:
    """End arms now, or at a time. Requests that list them go on being answered, without them."""
    now = now_us()
    _by_ids(app, arm, file, partial(edits.retire, at=_us(at) or now, now=now), as_json)


@app.command()
def pause(arm: Ids = None, app: App = "default", file: IdFile = None, as_json: AsJson = False) -> None:
    """Show arms to nobody until `resume`."""
    _by_ids(app, arm, file, edits.pause, as_json)


@app.command()
def resume(arm: Ids = None, app: App = "default", file: IdFile = None, as_json: AsJson = False) -> None:
    """Show arms again that are paused or retired."""
    _by_ids(app, arm, file, partial(edits.resume, now=now_us()), as_json)


@app.command("list")
def list_arms(app: App = "default", as_json: AsJson = False) -> None:
    """Every arm: what becomes of it, whether it is live, and how often a new one was shown."""
    w = Workspace.known(app)
    if not (w.home / layout.CATALOGUE).exists():
        raise ValueError(
            f"{w.home / layout.CATALOGUE}: found no such file, expected the arms of {app}; "
            "`croupier arm add` makes it, or `croupier init` from a log"
        )
    rows = _listed(w)
    if as_json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("arm", "status", "live", "new", "from (UTC)", "to (UTC)", "features")
    for row in rows:
        new = f"shown {row['shown']} of {row['until']}" if row["new"] else ""
        times = [f"{from_us(row[name]):%Y-%m-%d %H:%M}" if row[name] else "" for name in edits.TIMES]
        live = "yes" if row["live"] else "not yet"
        table.add_row(row["arm_id"], row["status"], live, new, *times, orjson.dumps(row["features"]).decode())
    console.print(table)


def _listed(w: Workspace) -> list[dict[str, Any]]:
    now, number = now_us(), bundle_store.current(w.store)
    live = {arm.arm_id: arm for arm in released_arms(w.store) or []}
    new = Newcomers() if number is None else newcomers_of(w.store, number)
    counts, until = shown(w.store, new.since), w.spec.arms.new_until
    return [
        {
            "arm_id": arm.arm_id,
            "status": catalogue.why_not(arm, now) or "active",
            "live": live.get(arm.arm_id) == arm,
            "new": arm.arm_id in new.since,
            "shown": counts.get(arm.arm_id, 0) if arm.arm_id in new.since else None,
            "until": until if arm.arm_id in new.since else None,
            "valid_from": arm.valid_from,
            "valid_to": arm.valid_to,
            "features": arm.features,
        }
        for arm in known_arms(w, now)
    ]


def _by_ids(app: str, ids: list[str] | None, file: Path | None, step: Callable[..., list[Arm]], as_json: bool) -> None:
    w = Workspace.known(app)
    if bool(ids) == (file is not None):
        raise ValueError("arm: expected arm ids, or --file with them")
    wanted = list(dict.fromkeys(edits.read_ids(file) if file else ids or []))
    _edit(w, partial(step, ids=wanted), wanted, as_json)


def _edit(w: Workspace, step: Step, ids: Sequence[str], as_json: bool) -> None:
    """Write catalogue.json anew, once it is known to be one that can be released, and release it."""
    path = w.home / layout.CATALOGUE
    with alone(w.home / layout.ARMS_LOCK):
        there = {arm.arm_id for arm in w.arms()} if path.exists() else set()
        known = known_arms(w) if path.exists() else []
        new = step(known)
        kept = [arm for arm in new if arm.arm_id in there or arm not in known]
        catalogue.require_selectable(kept, now_us())
        (released_encoder(w) or Encoder.empty(w.spec, kept)).catalogue(kept)
        catalogue.write(path, kept)
    number, problem = _released(w)
    said = {"app": w.settings.app, "arms": list(ids), "catalogue": str(path), "release": number, "problem": problem}
    if as_json:
        print(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
    elif number is not None:
        console.print(f"release {number}: {', '.join(ids)} in {path}")
    elif not problem:
        nothing = "nothing changed" if bundle_store.current(w.store) else "it goes live with the first release"
        console.print(f"{path}: {nothing}")
    if problem and not as_json:
        raise RuntimeError(f"{path} is written, and not live yet: {problem}; the watch tries again each minute")
    raise typer.Exit(1 if problem else 0)


def _released(w: Workspace) -> tuple[int | None, str]:
    from croupier.serving.operate.catalogue_release import release_catalogue

    try:
        return release_catalogue(w, now_us(), by="operator", again=True), ""
    except (ValueError, KeyError, OSError, RuntimeError, StoreError) as error:
        return None, str(error)


def _features(items: list[str] | None) -> dict[str, Any]:
    if wrong := [item for item in items or [] if "=" not in item]:
        raise ValueError(f"--feature: found {wrong[0]!r}, expected NAME=VALUE, such as price=12.5")
    pairs = (item.split("=", 1) for item in items or [])
    return {name: orjson.loads(text) if text.startswith("[") else text for name, text in pairs}


def _say_unused(w: Workspace, arms: Sequence[Arm], as_json: bool) -> None:
    """A misspelt feature would be kept and never used."""
    for name in sorted({name for arm in arms for name in arm.features} - set(w.spec.arm)):
        near = difflib.get_close_matches(name, list(w.spec.arm), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        note = f"  {name}: kept, and not used: app.toml does not declare it under [arm]{hint}"
        typer.echo(note, err=as_json)


def _us(at: datetime | None) -> int:
    return 0 if at is None else to_us(at if at.tzinfo else at.replace(tzinfo=UTC))
