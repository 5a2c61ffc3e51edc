"""The whole life of a log, in small, as a process that can be killed at any of its fail points.

    python -m tests.faults.pipeline FOLDER SEED POINT     POINT "": run to the end and print the fail points passed

A fail point is a write to the store or a transaction of the spool, named by what it writes, 'before' and 'after' it
(transactions: also 'inside', with everything written but the commit). At POINT the process kills itself with SIGKILL.
"""

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import croupier.features.log.ship
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.privacy import expire, forget
from croupier.features.interactions.restate import restate
from croupier.features.log.ship import prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, to_us

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = {"start": START - timedelta(hours=1), "end": START + timedelta(hours=8)}
SPEC = RewardSpec(window_seconds=1800)
UNITS = ("a" * 32, "b" * 32, "c" * 32)


class Fuse:
    """Counts fail points and, at the one it was set to, kills the process. A name's nth pass is `name#n`."""

    def __init__(self, point: str) -> None:
        self.point, self.passed = point, []

    def __call__(self, name: str) -> None:
        numbered = f"{name}#{sum(p.rpartition('#')[0] == name for p in self.passed)}"
        self.passed.append(numbered)
        if numbered == self.point:
            os.kill(os.getpid(), signal.SIGKILL)


class FusedStore(FolderStore):
    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        for verb in ("put", "create", "swap", "delete"):
            setattr(self, verb, self._fused(verb, getattr(super(), verb), fuse))

    @staticmethod
    def _fused(verb, real, fuse):
        def call(key, *rest):
            kind = "/".join(part for part in key.split("/")[:2] if "=" not in part)
            name = f"{verb} {kind}{'.json' if key.endswith('.json') else ''}"
            fuse(f"before {name}")
            real(key, *rest)
            fuse(f"after {name}")

        return call


class FusedSpool(Spool):
    fuse = Fuse("")

    @contextmanager
    def transaction(self) -> Iterator:
        name = sys._getframe(2).f_code.co_name
        self.fuse(f"before {name}")
        with super().transaction() as db:
            yield db
            self.fuse(f"inside {name}")
        self.fuse(f"after {name}")


def events(seed: int) -> list[tuple[list[Decision], list[Reward]]]:
    """Three rounds of decisions over five hours, and their rewards, some late, some rounds after."""
    rng = random.Random(seed)
    decisions = [
        Decision(
            event_id=f"e{i}",
            at=to_us(START) + rng.randrange(5 * HOUR),
            unit_id=rng.choice(UNITS),
            context={"i": i},
            arms=("l", "r"),
            pmf=(0.5, 0.5),
            arm="l",
            propensity=0.5,
            policy="p",
            role="champion",
            release=1,
        )
        for i in range(60)
    ]
    rewards = [
        Reward(event_id=d.event_id, at=d.at + rng.randrange(HOUR), kind="click", value=float(i), reward_id=f"r{i}")
        for i, d in enumerate(rng.sample(decisions, 40))
    ] + [Reward(event_id=f"nobody{i}", at=to_us(START), kind="click", value=1.0) for i in range(3)]
    rng.shuffle(rewards)
    return [(decisions[k::3], rewards[k::3]) for k in range(3)]


def steps(spool: Spool, store: FolderStore, seed: int) -> Iterator[Callable[[], object]]:
    """One after the other, as a scheduler's tasks: each may be repeated, a finished one is not."""
    for turn, (decisions, rewards) in enumerate(events(seed)):
        now = START + timedelta(hours=3 * (turn + 1))
        yield lambda d=decisions: spool.append_decisions(d)
        yield lambda r=rewards, n=turn: spool.counts()["rewards"] > 15 * n or spool.append_rewards(r)
        yield lambda: ship(spool, store, host="h")
        yield lambda n=now: join_interval(store, SPEC, now=n, **SPAN)
        yield lambda n=now: restate(store, SPEC, now=n)
    yield lambda: prune(spool, store, before=to_us(START) + 2 * HOUR)
    yield lambda: forget(store, spool, SPEC, unit_id=UNITS[0], host="h", now=now)
    yield lambda: prune(spool, store, before=to_us(SPAN["end"]))  # verifies every row that is left
    yield lambda: expire(store, days=1, now=START + timedelta(days=1, hours=1))


def live(folder: Path, seed: int, fuse: Fuse) -> None:
    croupier.features.log.ship.ROWS = 13  # several shipments a round
    FusedSpool.fuse = fuse
    spool, store = FusedSpool(folder / "log.db"), FusedStore(str(folder / "store"), fuse)
    for i, step in enumerate(steps(spool, store, seed)):
        done = folder / f"step{i}.done"
        if not done.exists():
            step()
            done.touch()
    spool.close()


if __name__ == "__main__":
    at = Fuse(sys.argv[3])
    live(Path(sys.argv[1]), int(sys.argv[2]), at)
    print("\n".join(at.passed))
