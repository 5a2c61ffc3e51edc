"""The rows of the table in serving/ROLLOUT.md, and what each comes to. `croupier simulate rollout --days` prints it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import RolloutSpec
from croupier.serving.simulation.season.run import simulate
from croupier.serving.simulation.season.world import DayWorld

ROWS: Mapping[str, Mapping[str, Any]] = {
    "no effect": {},
    "effect ±20 % by hour, mean 0": {"swing": 0.20},
    "effect −5 % ± 30 % by hour": {"effect": -0.05, "swing": 0.30},
    "no effect, clicks ±50 % by hour, candidate's units 15 % more active at the peak": {"level": 0.5, "activity": 0.15},
    "5 % of the candidate's rewards late": {"late": {CANDIDATE: 0.05}},
    "10 % of the candidate's rewards late": {"late": {CANDIDATE: 0.10}},
    "20 % of the candidate's rewards late": {"late": {CANDIDATE: 0.20}},
    "10 % of the champion's rewards late": {"late": {CHAMPION: 0.10}},
    "+40 % for 30,000 decisions, then −10 %": {"effect": -0.10, "novelty": (0.40, 30_000)},
    "−2 %": {"effect": -0.02},
    "−10 %": {"effect": -0.10},
    "−30 %": {"effect": -0.30},
    "−60 %": {"effect": -0.60},
    "+10 %": {"effect": 0.10},
    "+10 % ± 20 % by hour": {"effect": 0.10, "swing": 0.20},
}


def rows(
    worlds: Mapping[str, Mapping[str, Any]],
    per_day: Sequence[int],
    spec: RolloutSpec,
    *,
    runs: int,
    seed: int = 0,
    before: bool = False,
    progress: Callable[[int], object] = int,
) -> dict[str, dict[str, Any]]:
    """Returns by row and by decisions a day what became of the rollouts."""
    found = dict[str, dict[str, Any]]()
    for name, world in worlds.items():
        for traffic in per_day:
            made = DayWorld(per_day=traffic, **world)
            done = simulate(made, spec, runs=runs, seed=seed, before=before, progress=progress)
            found.setdefault(name, {})[f"{traffic}"] = done.to_dict()
    return found
