"""`croupier migrate personalizer`: an app from what its owner saved of Azure Personalizer, or from one that runs."""

import shlex
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from croupier.features.exchange.guess import Given
from croupier.features.exchange.personalizer import arguments, running, service
from croupier.features.exchange.personalizer.folder import Saved, lines, look
from croupier.features.exchange.record import explained
from croupier.features.schema import FROM_BOTH
from croupier.features.spec_values import IGNORE
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.serving.commands import turn
from croupier.serving.commands.telling import App, AsJson, told
from croupier.serving.frames import own_log
from croupier.serving.frames.own_log import Appended, DeclaredApp
from croupier.serving.operate import verdict_release

app = typer.Typer(no_args_is_help=True)
console = Console(soft_wrap=True, highlight=False, markup=False)
Export = Annotated[Path | None, typer.Option(help="folder: settings, learning policy and logs as JSON, a model")]
Endpoint = Annotated[str, typer.Option(metavar="URL", help="a Personalizer that runs: its settings, without its log")]
Key = Annotated[Path | None, typer.Option(help="a file with the key of --endpoint")]
KIND = "reward"  # of Personalizer's rewards
FEATURES = (
    'features → [requests] unknown_features = "ignore_and_count": those that app.toml does not declare are left out, '
    "counted, and named by croupier health, so that callers need no change"
)
ARMS = 'actions → [arms] source = "both": one that is in no catalogue is brought along'


@app.callback()
def _migrate() -> None:
    """Move an app here from a service that is no more."""


@app.command("personalizer")
def _personalizer(
    *,
    export: Export = None,
    endpoint: Endpoint = "",
    key: Key = None,
    app: App = "default",
    force: bool = False,
    as_json: AsJson = False,
) -> None:
    """Write app.toml, catalogue and a uniform release; append the log; say of each setting if it is kept. Settings come
    from --endpoint where it is given, features and the log from --export."""
    w = Workspace.open(app)
    own_log.refuse_declared(w, anew=force)
    saved, said = _saved(w, export, endpoint, key)
    given, more = service.given(saved.service)
    vw, arguments_said = arguments.parameters(saved.policy)
    said = [*more, *arguments_said, *_missing(saved), *said, ARMS, FEATURES]
    given = replace(given, vw=vw, source=FROM_BOTH, unknown_features=IGNORE)
    declared, appended = _written(w, saved, given, force=force)
    release = verdict_release.bootstrap(w).number
    done = asdict(appended.done) if appended else {}
    reasons = appended.reasons if appended else {}
    found = {"app": app, "app_toml": declared.app_toml, "arms": declared.arms, "settings": said, "release": release}
    if told(as_json, found | {"notes": declared.notes, "log": done, "reasons": reasons}):
        return
    for line in (*said, *declared.notes, *(appended.warnings if appended else ())):
        console.print(f"  {line}")
    for line in own_log.unkept(appended.done) if appended else ():
        console.print(f"  {line}", style="yellow")
    for reason, n in reasons.items():
        console.print(f"  skipped {n:,}: {explained(reason)}")
    console.print(_wrote(declared, release, appended))
    name = shlex.quote(app)
    train = f"{turn.over(app, appended.done.start)}; " if appended else ""
    console.print(f"then: croupier app check --app {name}; {train}croupier gateway --app {name}")


def _saved(w: Workspace, export: Path | None, endpoint: str, key: Path | None) -> tuple[Saved, list[str]]:
    """What there is of it, and sentences on what cannot be had. Raises ValueError."""
    if not endpoint:
        if export is None:
            raise ValueError("found neither --export nor --endpoint, expected one of them, or both")
        return look(export), []
    if key is None:
        raise ValueError("--endpoint: found no --key, expected the file that holds its key")
    found = running.ask(endpoint, running.key_in(key), root=w.settings.tls_root)
    if export is None:
        return Saved(service=found.service, policy=found.policy, logs=(), others={}), list(found.said)
    saved, said = look(export), list(found.said)
    for name, mine, theirs in (("service", saved.service, found.service), ("policy", saved.policy, found.policy)):
        if mine and theirs and mine != theirs:
            said.append(f"{name} configuration of {export}: not kept: that of --endpoint is newer")
    newer = replace(saved, service=found.service or saved.service, policy=found.policy or saved.policy)
    return newer, [line for line in said if not line.startswith("logs: not kept")]


def _written(w: Workspace, saved: Saved, given: Given, *, force: bool) -> tuple[DeclaredApp, Appended | None]:
    """The app, and what came of its log, where there is one."""
    if not saved.logs:
        return own_log.declare_without_log(w, KIND, given, anew=force), None
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log.dsjson"
        with log.open("wb") as file:
            file.writelines(lines(saved.logs))
        return own_log.declare(w, log, {}, anew=force, given=given), own_log.append(w, log, {})


def _wrote(declared: DeclaredApp, release: int, appended: Appended | None) -> str:
    wrote = f"wrote {declared.app_toml} and catalogue.json ({declared.arms} arms); release {release} draws uniformly; "
    if appended is None:
        return wrote + "there is no log yet"
    done = appended.done
    first, last = (f"{from_us(at):%Y-%m-%dT%H:%M}" for at in (done.start, done.end))
    return (
        wrote + f"{done.decisions:,} decisions and {done.rewards:,} rewards from {first} to {last} UTC are in its log"
    )


def _missing(saved: Saved) -> list[str]:
    """What was not there, and what was there and is nothing to us."""
    said = (
        [] if saved.service else ["no service configuration (rewardWaitTime …): [reward] is croupier's own, correct it"]
    )
    said += [] if saved.policy else ["no learning policy (arguments): vw_cb_adf explores as it does by itself"]
    return said + [f"{path.name}: {why}" for path, why in saved.others.items()]
