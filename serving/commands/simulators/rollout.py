"""`croupier simulate rollout`: how often the controller errs, on worlds of known truth."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from tqdm import tqdm

from croupier.features.spec import RolloutSpec
from croupier.serving.commands.telling import Out, prepared, to_stdout, told, written

Runs = Annotated[int, typer.Option(min=1, help="rollouts per number")]
Days = Annotated[bool, typer.Option("--days", help="the table of seasons, activity, novelty and late rewards")]
Season = Annotated[
    str, typer.Option(help="days whose hours differ: AMPLITUDE[:MEAN] of the relative effect, such as 0.3:-0.05")
]
Late = Annotated[list[str] | None, typer.Option(help="ROLE:SHARE of rewards that come too late, such as candidate:0.1")]
Activity = Annotated[float, typer.Option(help="how much more often the candidate's units decide at the peak")]
Level = Annotated[float, typer.Option(help="how much more, and less, users click at the peak and the low of a day")]
Novelty = Annotated[str, typer.Option(help="EFFECT:DECISIONS: what the candidate is worth so long, such as 0.4:30000")]
Before = Annotated[bool, typer.Option("--before", help="by the rule from before there were seasons")]
RETURNS = (0.0, 0.1, 0.2)  # how much more often units of a candidate that is liked return
PerDay = Annotated[str, typer.Option(help="decisions a day, separated by commas")]


def simulate_rollout(
    *,
    runs: Runs = 2000,
    world: Annotated[str, typer.Option(help="bernoulli (10 % clicks), or reels (contextual)")] = "bernoulli",
    effect: Annotated[float | None, typer.Option(help="only this relative effect, e.g. -0.3")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="what follows 100 %: the watch against the hold-out")] = False,
    days: Days = False,
    season: Season = "",
    late: Late = None,
    activity: Activity = 0.0,
    level: Level = 0.0,
    novelty: Novelty = "",
    per_day: PerDay = "12000,40000,120000",
    before: Before = False,
    seed: Annotated[int, typer.Option(min=0, help="the same seed, the same result")] = 0,
    out: Out = None,
) -> None:
    """How often the controller errs, how fast it is right, and what other rules do on the same world.

    With any of --days, --season, --late, --activity, --level, --novelty time runs by hours and days, and stages are
    decided on whole days."""
    prepared(out)
    declared = {"late": late, "season": season, "activity": activity, "level": level, "novelty": novelty}
    if days or any(declared.values()):
        traffic = _numbers("--per-day", per_day.split(","), int)
        found = _by_day(None if days else declared, traffic, runs=runs, seed=seed, before=before, mean=effect)
    else:
        found = _by_decisions(world, effect, watch=watch, runs=runs, seed=seed)
    told(not to_stdout(out), found)
    written(out, found)


def _by_day(
    declared: dict[str, Any] | None, traffic: Sequence[int], *, runs: int, seed: int, before: bool, mean: float | None
) -> dict[str, Any]:
    from croupier.serving.simulation.season import returning, table, units
    from croupier.serving.simulation.season.run import DAYS
    from croupier.serving.simulation.season.world import HOURS

    rows = table.ROWS if declared is None else {"declared": _world(declared, mean)}
    with tqdm(total=len(rows) * len(traffic) * DAYS * HOURS, unit="hour", disable=None) as bar:
        found = table.rows(rows, traffic, RolloutSpec(), runs=runs, seed=seed, before=before, progress=bar.update)
    made: dict[str, Any] = {"runs": runs, "seed": seed, "before": before, "rows": found}
    if declared is None and not before:
        made["units"] = units.shown(runs=max(runs // 4, 1), seed=seed)
        made["returning"] = {
            f"{more:.0%}": returning.alarms(RolloutSpec(), runs=10 * runs, more=more, seed=seed) for more in RETURNS
        }
    return made


def _world(declared: dict[str, Any], mean: float | None) -> dict[str, Any]:
    """What the options say, as the fields of a DayWorld."""
    made: dict[str, Any] = {"activity": declared["activity"], "level": declared["level"], "effect": mean or 0.0}
    if declared["season"]:
        made["swing"], *rest = _numbers("--season", declared["season"].split(":"), float)
        made["effect"] = rest[0] if rest else made["effect"]
    if declared["novelty"]:
        worth, decisions = (*_numbers("--novelty", declared["novelty"].split(":"), float), 0.0)[:2]
        made["novelty"] = (worth, int(decisions))
    late = [one.partition(":") for one in declared["late"] or ()]
    return made | {"late": {role: _numbers("--late", [share], float)[0] for role, _, share in late}}


def _numbers(option: str, texts: Sequence[str], kind: Callable[[str], Any]) -> list[Any]:
    try:
        return [kind(text) for text in texts]
    except ValueError as error:
        raise ValueError(f"{option}: found {':'.join(texts)!r}, expected numbers ({error})") from None


def _by_decisions(world: str, effect: float | None, *, watch: bool, runs: int, seed: int) -> dict[str, Any]:
    """Time counted in decisions, where hours are alike."""
    from croupier.serving.simulation import compared_rules, hold_out
    from croupier.serving.simulation import rollout as rollout_simulation
    from croupier.serving.simulation.worlds import Reels

    worlds: dict[str, Callable[[float], Any]] = {
        "bernoulli": lambda e: rollout_simulation.Bernoulli(effect=e),
        "reels": Reels,
    }
    if world not in worlds:
        raise ValueError(f"--world: found {world!r}, expected one of {', '.join(worlds)}")
    if watch and effect is not None:
        raise ValueError("--watch: found --effect beside it; expected one of them: a watch has effects of its own")
    make, spec = worlds[world], RolloutSpec()
    looks = rollout_simulation.LOOKS if effect is not None else sum(rollout_simulation.EFFECTS.values())
    with tqdm(total=hold_out.looks_of(spec) if watch else looks, unit="look", disable=None) as bar:
        how: dict[str, Any] = {"runs": runs, "seed": seed, "progress": bar.update}
        found: dict[str, Any]
        if watch:
            found = hold_out.characteristics(make, spec, **how)
        elif effect is not None:
            found = rollout_simulation.simulate(make(effect), spec, **how).to_dict() | {"effect": effect}
        else:
            found = rollout_simulation.characteristics(make, spec, **how)
    found |= {"world": world, "seed": seed}
    if effect is None and not watch and world == "bernoulli":
        found["compared"] = compared_rules.characteristics(runs=runs, seed=seed)
        found["sample_ratio"] = rollout_simulation.sample_ratio_characteristics(runs=runs, seed=seed)
        found["latency"] = rollout_simulation.latency_characteristics(spec, runs=runs, seed=seed)
    return found
