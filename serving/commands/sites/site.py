"""`croupier site moments`, `croupier site add`: one head of several sites, none of which shows a row to another."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from croupier.features.utc import hour_name
from croupier.features.workspace import Interval, Workspace
from croupier.serving.commands.telling import App, AsJson, prepared, told

app = typer.Typer(
    no_args_is_help=True, help="Sites that share no rows: the sums of one, and the head that all make together."
)
console = Console(soft_wrap=True, highlight=False, markup=False)
Release = Annotated[
    str, typer.Option(help="over whose features: a release's number, or the folder of one; empty: the current one")
]
Since = Annotated[str, typer.Option("--from", help="the first hour, such as 2026-09-21T00:00+00:00")]
Until = Annotated[str, typer.Option("--to", help="the hour before which it ends")]
Epsilon = Annotated[float, typer.Option(min=0.0, help="ε of a unit's privacy, by noise; 0: the sums as they are")]
Delta = Annotated[float, typer.Option(help="δ beside ε; well below 1 by the number of units")]
Bound = Annotated[float, typer.Option(help="with --epsilon: the length that a row's features are shortened to")]
PerUnit = Annotated[int, typer.Option(min=1, help="with --epsilon: a unit's rows that count, the earliest first")]
Times = Annotated[int, typer.Option(min=1, help="with --epsilon: files that a unit's rows will be in, this included")]
Files = Annotated[list[Path], typer.Argument(help="what `croupier site moments` wrote, of each site one")]


@app.command()
def moments(
    out: Annotated[Path, typer.Argument(dir_okay=False, help="the file to write")],
    *,
    site: Annotated[str, typer.Option(help="this site's name; each has its own")],
    since: Since,
    until: Until,
    release: Release = "",
    epsilon: Epsilon = 0.0,
    delta: Delta = 1e-6,
    bound: Bound = 0.0,
    per_unit: PerUnit = 1,
    times: Times = 1,
    app: App = "default",
    as_json: AsJson = False,
) -> None:
    """Write the sums (A, b, Σr², n) of this site's joined rows over a release's features: no row, no unit, no text.

    With --epsilon they have Gaussian noise. Each unit's features are shortened to --bound and its rewards clipped to
    the range of app.toml, so that the noise is worth (ε, δ) for everything that a unit did in the interval."""
    from croupier.models.federated.noise import UnitLimits
    from croupier.serving.operate import federation

    w = Workspace.known(app)
    if not site.strip():
        raise ValueError(
            f"--site: found {site!r}, expected this site's name, by which its file is told from the others'"
        )
    if (epsilon > 0) != (bound > 0):
        raise ValueError(
            f"site: found --epsilon {epsilon:g} and --bound {bound:g}, expected both or neither: noise is drawn by the "
            "length that features are shortened to"
        )
    asked = None
    if epsilon:
        low, high = w.spec.reward.range
        limits = UnitLimits(length=bound, low=low, high=high, rows=per_unit)
        asked = federation.AskedPrivacy(epsilon=epsilon, delta=delta, limits=limits, times=times)
    found = federation.moments_of(w, site, Interval.parse(since, until), release=release, asked=asked)
    prepared(out)
    found.write(out)
    if told(as_json, _facts(found) | {"file": out.absolute()}):
        return
    console.print(f"{out}: {_said(found)}")


@app.command()
def add(
    files: Files,
    *,
    features: Annotated[str, typer.Option(help="key of encoded features, an interval by hand, whose later rows judge")],
    release: Release = "",
    app: App = "default",
    as_json: AsJson = False,
) -> None:
    """Add the sums of several sites to one head, and let the gate judge it on this site's later rows. What it promotes
    is published as a candidate, whose rollout begins as any other's."""
    from croupier.models.federated.site_moments import SiteMoments
    from croupier.serving.operate import federation, verdict_release

    w = Workspace.known(app)
    sites = [SiteMoments.read(path) for path in files]
    verdict = federation.judged(w, sites, features, release=release)
    outcome = verdict_release.publish_verdict(verdict)
    if told(as_json, {"sites": list(map(_facts, sites)), "verdict": verdict, "outcome": outcome}):
        return
    for each in sites:
        console.print(_said(each))
    console.print(verdict["summary"])
    console.print(verdict_release.said(outcome))


def _facts(found: Any) -> dict[str, Any]:
    privacy = None if found.privacy is None else found.privacy.to_json()
    facts = {"site": found.site, "since": found.since, "until": found.until, "rows": found.moments.n}
    return facts | {"length": len(found.moments.b), "digest": found.digest, "privacy": privacy}


def _said(found: Any) -> str:
    """A file in a sentence."""
    between = f"{hour_name(found.since)} to {hour_name(found.until)} UTC"
    rows = f"{found.site}: about {found.moments.n:,.0f} rows of {between}, {len(found.moments.b)} features"
    if found.privacy is None:
        return f"{rows}, without noise"
    p = found.privacy
    return (
        f"{rows}, with noise of standard deviation {p.sd:.4g}: ε = {p.epsilon:.4g} at δ = {p.delta:g} for a unit in "
        f"{p.times} such files, by {p.accountant}"
    )
