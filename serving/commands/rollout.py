"""`croupier rollout …`, `croupier release …`: see and move what is exposed."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.features.clock import now_us
from croupier.features.log.backlog import decided_since
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us, to_the_second
from croupier.features.workspace import Workspace
from croupier.serving.commands.servers.follow import follow
from croupier.serving.commands.telling import App, AsJson, told
from croupier.serving.evidence import foretold, hold_out_looks
from croupier.serving.operate import deployment, succession
from croupier.serving.operate.deployment import triton_address
from croupier.serving.release import bundle_store, rollout_state
from croupier.serving.release import rollout_store as stored
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.triton import server

rollout = typer.Typer(no_args_is_help=True, help="Where the candidate stands, and moving it by hand.")
release = typer.Typer(no_args_is_help=True, help="The releases there are, and whether they are whole.")
Reason = Annotated[str, typer.Option(help="kept in the history")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Approved = Annotated[bool, typer.Option(help="a person agrees to the last step")]
Earlier = Annotated[int | None, typer.Option("--release", help="the rollout of an earlier release")]
console = Console(markup=False)  # a reason may have any brackets in it


@rollout.command()
def status(app: App = "default", as_json: AsJson = False) -> None:
    """The stage, the share of units, and since when."""
    w = Workspace.known(app)
    state = stored.read_state(w.store)
    if told(as_json, described(w, state) | hold_out_looks.watched(w.store, state, w.spec)):
        return
    console.print("no release yet" if state is None else describe(w, state))
    if state is not None and state.watched:
        console.print(hold_out_looks.told(w.store, state, w.spec), soft_wrap=True)
    elif state is not None and state.history[-1]["evidence"]:
        console.print(f"known at its last change: {_known(state.history[-1])}", soft_wrap=True)


@rollout.command()
def advance(app: App = "default", reason: Reason = "by hand", as_json: AsJson = False) -> None:
    """Expose the candidate to the next stage's share; from the last stage on, make it the champion."""
    w = Workspace.known(app)
    state, words = stored.read_state(w.store), []
    if state is None or state.share < 1.0:  # at 100 % already: the promotion failed, and is made up for
        step = partial(rollout_state.advance, reason=reason, now=now_us(), by="operator")
        state = stored.change(w.store, step, home=w.home)
        words.append(describe(w, state))
    number = _promoted(w) if state.share == 1.0 else None
    if state.share == 1.0:
        words.append(
            f"release {state.release}: somebody else promotes its candidate now"
            if number is None
            else f"release {number}: {_heir(state)} of release {state.release} is the champion"
        )
    if not told(as_json, described(w, state) | {"promoted": number}):
        console.print("\n".join(words))


def _heir(state: RolloutState) -> str:
    return "the predecessor" if state.kept else "the candidate"


def _promoted(w: Workspace) -> int | None:
    from croupier.serving.operate.watch import finish

    return finish(w.store, w.home, triton=triton_address(w), by="operator", spec=w.spec.rollout)


@rollout.command()
def abort(app: App = "default", reason: Reason = "by hand", yes: Yes = False, as_json: AsJson = False) -> None:
    """Back to the champion, at once and for good. Asks first, unless --yes is given."""
    w = Workspace.known(app)
    if not yes:
        typer.confirm(f"End the rollout of {app} for good?", abort=True, err=as_json)
    state = stored.change(
        w.store, lambda s: rollout_state.abort(s, reason, now=now_us(), by="operator"), home=w.home, insist=True
    )
    if not told(as_json, described(w, state)):
        console.print(describe(w, state))


@rollout.command()
def history(app: App = "default", as_json: AsJson = False) -> None:
    """Every change of the present rollout, with its reason."""
    state = stored.read_state(Workspace.known(app).store)
    if told(as_json, list(state.history) if state else []):
        return
    table = Table("at (UTC)", "stage", "share", "by", "reason", "what was known")
    for entry in state.history if state else ():
        row = (to_the_second(entry["at"]), entry["stage"], f"{entry['share']:.0%}", entry["by"], entry["reason"])
        table.add_row(*row, _known(entry) if entry["evidence"] else "")
    console.print(table)


@rollout.command()
def past(app: App = "default", as_json: AsJson = False) -> None:
    """What the gate foretold of each candidate so far, beside what its rollout found."""
    rows = foretold.past(Workspace.known(app).store)
    if told(as_json, foretold.told(rows)):
        return
    table = Table("release", "kind", "ended at", "the gate's lift", "its bounds", "the rollout's", "its bounds")
    for row in rows:
        gate = f"[{row.lift_lower:+.4f}, {'…' if row.lift_upper is None else f'{row.lift_upper:+.4f}'}]"
        found = f"{row.difference:+.4f}", f"[{row.lower:+.4f}, {row.upper:+.4f}]"
        table.add_row(str(row.release), row.kind, row.stage, f"{row.lift:+.4f}", gate, *found)
    console.print(table)
    console.print(foretold.sentence(rows) or "no candidate has been compared in a rollout yet", soft_wrap=True)


@rollout.command()
def watch(app: App = "default", approved: Approved = False, as_json: AsJson = False) -> None:  # noqa: ARG001
    """One look, as the watch_rollout DAG does each minute: ship, judge, move, promote. What it tells is JSON."""
    from croupier.serving.operate.watch import watch as look

    told(True, look(app, approved=approved))


@rollout.command()
def report(app: App = "default", of: Earlier = None, as_json: AsJson = False) -> None:
    """Write the page of the rollout, with its picture, and say where it is."""
    from croupier.serving.operate import rollout_page

    w = Workspace.known(app)
    page = rollout_page.write(w.store, w.home, w.spec, now=now_us(), release=of)
    if not told(as_json, {"app": app, "page": page.absolute()}):
        console.print(str(page), soft_wrap=True)


@rollout.command()
def rollback(
    to: Annotated[int, typer.Argument(help="number of an earlier release")],
    app: App = "default",
    as_json: AsJson = False,
) -> None:
    """Serve the champion of an earlier release again, as a new release."""
    w = Workspace.known(app)
    done = succession.roll_back(w.store, w.home, to, triton=triton_address(w))
    if not told(as_json, {"app": app, "champion_of": to} | asdict(done)):
        console.print(f"release {done.number} serves the champion of release {to} ({done.seconds:.1f} s)")


@release.command()
def begin(app: App = "default", as_json: AsJson = False) -> None:
    """Publish the first release of a declared app, in which all arms are alike. Where there is one, nothing changes."""
    from croupier.serving.embedded.declared import first_release

    w = Workspace.known(app)
    w.spec  # noqa: B018 — an app.toml that is missing, or cannot be read, is said as everywhere
    before = bundle_store.current(w.store)
    number = first_release(w) if before is None else before
    if not told(as_json, {"app": app, "release": number, "made": before is None}):
        console.print(f"release {number} " + ("is the first: all arms alike" if before is None else "serves already"))


@release.command("list")
def list_releases(app: App = "default", as_json: AsJson = False) -> None:
    """Every release in the store, oldest first."""
    rows = bundle_store.listed(Workspace.known(app).store)
    if told(as_json, rows):
        return
    table = Table("release", "status", "champion", "candidate or hold-out", "digest")
    for row in rows:
        policies, toward = row["policies"], f"explores toward {row['toward']}" if row["toward"] else ""
        beside = policies.get(CANDIDATE, toward)
        table.add_row(str(row["number"]), row["status"], policies[CHAMPION], beside, row["digest"][:12])
    console.print(table)


@release.command()
def verify(number: int, app: App = "default", as_json: AsJson = False) -> None:
    """Fetch a release and check every byte of it."""
    w = Workspace.known(app)
    manifest = deployment.verify(w.store, w.home, number)
    if not told(as_json, {"release": number, "whole": True} | manifest):
        console.print(f"release {number}: {len(manifest['files'])} files as their manifest says ({manifest['digest']})")


release.command()(follow)


@release.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="newest releases to keep")] = 20,
    app: App = "default",
    as_json: AsJson = False,
) -> None:
    """Delete old releases from the store; the current one and where it came from stay."""
    gone = bundle_store.prune(Workspace.known(app).store, keep=keep)
    if told(as_json, {"app": app, "deleted": gone}):
        return
    console.print(f"deleted {len(gone)} releases{': ' + ', '.join(map(str, gone)) if gone else ''}")


def described(w: Workspace, state: RolloutState | None) -> dict[str, Any]:
    """A rollout's state as JSON; `since` in UTC. `server_here`: whether any unit can see it through this host."""
    app = w.settings.app
    if state is None:
        return {"app": app, "release": None, "stage": None}
    since = from_us(state.since).isoformat()
    last = state.history[-1]
    return {
        "app": app,
        "release": state.release,
        "stage": state.stage,
        "share": state.share,
        "held": state.held,
        "server_here": _server_here(w),
        "since": since,
        "reason": last["reason"],
        "evidence": last["evidence"],
    }


def describe(w: Workspace, state: RolloutState) -> str:
    """Returns where a rollout stands, in a sentence."""
    held = f", held: {state.held}" if state.held else ""
    units = f"{state.share:.0%} of units" + (" kept back" if state.watched else "")
    if state.share and not _server_here(w):
        units = f"meant for {units}, but no server of {w.settings.app} runs here, and nobody decided in the last hour"
    return f"release {state.release}: {state.stage}, {units}, since {to_the_second(state.since)}{held}"


def _server_here(w: Workspace) -> bool:
    """True if one runs here, or if CROUPIER_TRITON names one elsewhere; or if a decision of the last hour lies in this
    host's log: a gateway, or an application itself, decides without a server."""
    there = server.running(w.home) is not None or "triton" in w.settings.model_fields_set
    with suppress(SpoolUnavailable):
        return there or decided_since(w.home / layout.SPOOL_LOG, now_us() - HOUR)
    return there


def _known(entry: Mapping[str, Any]) -> str:
    from croupier.serving.evidence.gather import summary

    return summary(entry["evidence"])
