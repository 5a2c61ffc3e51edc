"""`croupier migrate personalizer`: an app from what its owner saved of Azure Personalizer."""

import shlex
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from croupier.features.exchange.personalizer import arguments, service
from croupier.features.exchange.personalizer.folder import Saved, lines, look
from croupier.features.schema import FROM_BOTH
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands.telling import App, AsJson, told
from croupier.serving.frames import own_log
from croupier.serving.operate import verdict_release

app = typer.Typer(no_args_is_help=True)
console = Console(soft_wrap=True, highlight=False)
Export = Annotated[Path, typer.Option(help="folder: settings and learning policy as JSON, logs as JSON, a model")]


@app.callback()
def _migrate() -> None:
    """Move an app here from a service that is no more."""


@app.command("personalizer")
def _personalizer(*, export: Export, app: App = "default", force: bool = False, as_json: AsJson = False) -> None:
    """Write app.toml, catalogue and a uniform release; append the log; say of each setting if it is kept."""
    w = Workspace.open(app)
    own_log.refuse_declared(w, anew=force)
    saved = look(export)
    given, said = service.given(saved.service)
    vw, more = arguments.parameters(saved.policy)
    said += [*more, *_missing(saved), 'actions → [arms] source = "both": one that is in no catalogue is brought along']
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log.dsjson"
        with log.open("wb") as file:
            file.writelines(lines(saved.logs))
        declared = own_log.declare(w, log, {}, anew=force, given=replace(given, vw=vw, source=FROM_BOTH))
        appended = own_log.append(w, log, {})
    release = verdict_release.bootstrap(w).number
    done = appended.done
    found = {"app": app, "app_toml": declared.app_toml, "arms": declared.arms, "settings": said, "release": release}
    if told(as_json, found | {"notes": declared.notes, "log": asdict(done), "reasons": appended.reasons}):
        return
    for line in (*said, *declared.notes, *appended.warnings):
        console.print(f"  {line}", markup=False)
    for reason, n in appended.reasons.items():
        console.print(f"  skipped {n:,}: {reason}", markup=False)
    first, last = (f"{from_us(at):%Y-%m-%dT%H:%M}" for at in (done.start, done.end))
    console.print(
        f"wrote {declared.app_toml} and catalogue.json ({declared.arms} arms); release {release} draws uniformly; "
        f"{done.decisions:,} decisions and {done.rewards:,} rewards from {first} to {last} UTC are in its log"
    )
    name = shlex.quote(app)
    console.print(f"then: croupier app check --app {name}; croupier turn --app {name}; croupier gateway --app {name}")


def _missing(saved: Saved) -> list[str]:
    """What was not there, and what was there and is nothing to us."""
    said = (
        [] if saved.service else ["no service configuration (rewardWaitTime …): [reward] is croupier's own, correct it"]
    )
    said += [] if saved.policy else ["no learning policy (arguments): vw_cb_adf explores as it does by itself"]
    why = "not kept: a model of VW is no release of croupier's: the first is trained from the log"
    return said + [f"{path.name}: {why}" for path in saved.others]
