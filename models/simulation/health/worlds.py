"""The worlds whose months `croupier simulate health` plays.

reels    ten arms, visitors of the reels world, seasons of the day and of the week
news     the same, and every three days an arm goes and another comes, of those that were there before
fresh    the same, and every three days an arm goes for good and a new one comes, for 100 days
obd      the six logs of the Open Bandit Dataset, one a seed, drawn anew by hours (obd_hours.py)
"""

from pathlib import Path

from croupier.features.worlds.hours import HourlyWorld
from croupier.features.worlds.obd_hours import LOGS, OWN, ObdHours
from croupier.features.worlds.reels import World
from croupier.features.worlds.reels_hours import ReelsHours

REELS, NEWS, FRESH, OBD = WORLDS = ("reels", "news", "fresh", "obd")
PER_DAY = {REELS: 12_000, NEWS: 12_000, FRESH: 12_000, OBD: round(OWN)}
SAID = {
    REELS: "reels, seasons of day and week",
    NEWS: "reels, an arm replaced every three days",
    FRESH: "reels, an arm replaced by a new one every three days",
    OBD: "the logs of the Open Bandit Dataset, drawn anew by hours",
}


def made(world: str, *, seed: int, per_day: int | None = None, wheel: Path | None = None) -> HourlyWorld:
    """Returns the seed's app; `wheel` holds the Open Bandit Dataset (obd.fetch). Raises ValueError for a world that is
    not known, and for `obd` without its wheel."""
    if world not in WORLDS:
        raise ValueError(f"--world: found {world!r}, expected one of {', '.join(WORLDS)}")
    many = per_day or PER_DAY[world]
    if world == FRESH:
        return ReelsHours(
            world=World(n_arms=40, population=3000, candidates=(5, 10)), per_day=many, seed=seed, fresh=True
        )
    if world != OBD:
        return ReelsHours(per_day=many, seed=seed, churn=world == NEWS)
    if wheel is None:
        raise ValueError("--world obd: found no wheel of the Open Bandit Dataset, expected what obd.fetch downloads")
    behaviour, campaign = LOGS[seed % len(LOGS)]
    return ObdHours(wheel=wheel, behaviour=behaviour, campaign=campaign, per_day=many, seed=seed)
