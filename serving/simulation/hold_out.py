"""How often does a watch roll back what is no worse, and how soon what is? Its own bets, on worlds of known truth.

Many watches run side by side, a look each 2,000 decisions of the units compared: 20,000 of all traffic at a hold-out of
1 %. The bets are those of serving/evidence/betting.py, their mixture over days that of serving/evidence/hold_out.py.
`croupier simulate rollout --watch` prints the numbers that serving/ROLLOUT.md keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.spec import RolloutSpec
from croupier.serving.evidence import betting
from croupier.serving.evidence.hold_out import GUARDRAILS, mixed, slice_of
from croupier.serving.simulation.rollout import LOOK, Wealth, World

PER_DAY = (20_000, 100_000, 1_000_000)  # decisions of all traffic
EFFECTS = {"same": 0.0, "worse30": -0.30, "worse60": -0.60, "worse10": -0.10, "better10": 0.10}


@dataclass(frozen=True, kw_only=True, eq=False)
class Watched:
    """What became of each watch (R,): decisions of all traffic until it rolled back; inf where it did not."""

    after: F64

    def share(self) -> float:
        """The share of the watches that rolled back."""
        return float(np.isfinite(self.after).mean())

    def to_dict(self) -> dict[str, float]:
        """The outcome as JSON."""
        return {"rolled_back": self.share(), "median_decisions": float(np.median(self.after))}


def simulate(
    worlds: Sequence[World],
    spec: RolloutSpec,
    *,
    per_day: int,
    runs: int,
    seed: int = 0,
    afresh: bool = True,
    progress: Callable[[int], object] = int,
) -> Watched:
    """Watches whose promoted release is, for equal parts of their time, worth what each of `worlds` says. With
    `afresh` False all is bet from the beginning. `progress` is told how many looks are over."""
    rng, rows = np.random.default_rng([seed, runs, per_day]), np.arange(runs)
    share = np.full(runs, 1.0 - spec.holdout / float(slice_of(spec.holdout)))
    size = LOOK / float(slice_of(spec.holdout))  # decisions of all traffic a look
    looks, level = int(spec.watch_days * per_day / size), -np.log((1 - GUARDRAILS) * spec.watch_alpha)
    wealth, starts, after = Wealth(runs, spec.model_copy(update={"margins": ()})), list[F64](), np.full(runs, np.inf)
    for look in range(looks):
        if int(look * size / per_day) > len(starts):
            starts.append(wealth.harm.copy())
        wealth.add(worlds[look * len(worlds) // looks].look(share, rng), share, rows)
        known = mixed(wealth.harm, starts, spec.watch_days) if afresh else betting.mix(wealth.harm)
        after = np.where(known >= level, np.minimum(after, (look + 1) * size), after)
        progress(1)
    return Watched(after=after)


def characteristics(
    world: Callable[[float], World],
    spec: RolloutSpec,
    *,
    runs: int,
    seed: int = 0,
    progress: Callable[[int], object] = int,
) -> dict[str, Any]:
    """Returns by traffic a day what became of watches of releases that are as good, worse or better all the time, and
    of one that is better by 10 % for the first half of the watch and worse by 30 % then."""
    how: dict[str, Any] = {"runs": runs, "seed": seed, "progress": progress}
    found: dict[str, Any] = {"runs": runs, "holdout": spec.holdout, "days": spec.watch_days}
    for per_day in PER_DAY:
        late = [world(0.10), world(-0.30)]
        half = spec.watch_days * per_day / 2
        row = {name: simulate([world(e)], spec, per_day=per_day, **how).to_dict() for name, e in EFFECTS.items()}
        row["late30"] = _since(simulate(late, spec, per_day=per_day, **how), half)
        row["late30_from_the_beginning_alone"] = _since(
            simulate(late, spec, per_day=per_day, afresh=False, **how), half
        )
        found[f"{per_day}"] = row
    return found


def _since(watched: Watched, turned: float) -> dict[str, float]:
    """Counted from when the release turned bad; those that were rolled back before are counted apart."""
    early = watched.after <= turned
    return Watched(after=np.where(early, np.inf, watched.after - turned)).to_dict() | {"early": float(early.mean())}


def looks_of(spec: RolloutSpec) -> int:
    """Looks that `characteristics` takes."""
    size = LOOK / float(slice_of(spec.holdout))
    return sum(int(spec.watch_days * per_day / size) for per_day in PER_DAY) * (len(EFFECTS) + 2)
