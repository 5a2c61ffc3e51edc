"""The arms that an app knows: those of catalogue.json, and after them those that have left it, as retired.

An arm that left stands in decisions that are still judged and learnt from, and in requests of callers who have not
heard of it. So it is kept, retired, for as long as a training can read such decisions, and then forgotten.
"""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from croupier.features.clock import now_us
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store.storage import Store
from croupier.features.workspace import Workspace

DAY = 86_400_000_000  # µs
LEAST_DAYS = 30


def known_arms(w: Workspace, now: int | None = None) -> list[Arm]:
    """Returns the arms of catalogue.json, and as retired those that only the current release knows. Raises
    InvalidEvent, OSError."""
    at = now_us() if now is None else now
    return merged(w.arms(), released_arms(w.store) or [], at, days=kept_days(w.spec))


def merged(file: Sequence[Arm], old: Sequence[Arm], now: int, *, days: float) -> list[Arm]:
    """The arms of the file, and after them those of `old` that have left it, retired for no more than `days`."""
    there = {arm.arm_id for arm in file}
    gone = [
        arm if retired(arm, now) else replace(arm, valid_to=now, paused=False) for arm in old if arm.arm_id not in there
    ]
    return [*file, *(arm for arm in gone if now - arm.valid_to < days * DAY)]


def kept_days(spec: AppSpec) -> float:
    """How long after it was retired an arm is kept: as long as a training window can reach, and a day."""
    return max(LEAST_DAYS, spec.training.days + spec.reward.window_seconds / 86400.0) + 1


def retired(arm: Arm, now: int) -> bool:
    """True if the arm's time is over at `now` (UTC µs)."""
    return bool(arm.valid_to and arm.valid_to <= now)


def released_arms(store: Store) -> list[Arm] | None:
    """The catalogue of the current release; None before there is one."""
    try:
        number = int(orjson.loads(store.get("releases/current"))["number"])
        return catalogue.loads(store.get(f"releases/{number:06d}/catalogue.json"))
    except KeyError:
        return None
