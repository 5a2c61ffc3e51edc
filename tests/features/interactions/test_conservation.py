"""Nothing lost, nothing made up: over many events of every sort, two hosts, several shipments and joins, the account of
the store equals what was sent, category by category."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.restate import restate
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, to_us

START = datetime(2026, 5, 1, tzinfo=UTC)
T0, HOURS = to_us(START), 6
SPAN = {"start": START - timedelta(hours=2), "end": START + timedelta(hours=HOURS + 8)}
SPEC = RewardSpec(window_seconds=3600)


def traffic(n: int, seed: int, truth: Counter):
    """n events and their repeats, as (host, event); `truth` counts what should become of them: Account's fields."""
    rng, decided = random.Random(seed), []
    for i in range(n):
        kind = rng.choices(
            ["decision", "on_time", "late", "orphan", "duplicate", "malformed", "bad request"], [60, 20, 6, 4, 6, 3, 1]
        )[0]
        host = rng.randrange(2)
        if kind == "decision" or not decided:
            d = (f"{seed}-{i}", T0 + rng.randrange(HOURS * HOUR), host)
            decided.append(d)
            truth.update(["decisions_in", "interactions"])
            yield (
                host,
                Decision(
                    event_id=d[0],
                    at=d[1],
                    unit_id="u",
                    context={},
                    arms=("a",),
                    pmf=(1.0,),
                    arm="a",
                    propensity=1.0,
                    policy="p",
                    role="champion",
                    release=1,
                ),
            )
            continue
        if kind == "bad request":
            truth.update(["decisions_in", "decisions_malformed"])
            yield host, ("decision", "context", b"{", "not JSON", T0 + rng.randrange(HOURS * HOUR))
            continue
        truth.update(["rewards_in", kind])
        event_id, at, host = decided[rng.randrange(len(decided))]
        if kind == "malformed":
            yield host, ("reward", "value", b"NaN", "not finite", at)
        elif kind == "orphan":
            yield host, Reward(event_id=f"nobody-{i}", at=at, kind="click", value=1.0)
        elif kind == "duplicate":  # the first copy counts, the others are duplicates
            truth.update(["rewards_in", "on_time"])
            for host_of_copy in (host, rng.randrange(2)):
                yield host_of_copy, Reward(event_id=event_id, at=at + 5, kind="click", value=1.0, reward_id=f"{i}")
        else:
            after = rng.randrange(HOUR) if kind == "on_time" else HOUR + 1 + rng.randrange(5 * HOUR)
            yield host, Reward(event_id=event_id, at=at + after, kind="click", value=1.0, reward_id=f"{i}")


def append(spool: Spool, events: list) -> None:
    spool.append_decisions([e for e in events if isinstance(e, Decision)])
    spool.append_rewards([e for e in events if isinstance(e, Reward)])
    spool.append_rejects([e for e in events if isinstance(e, tuple)])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("n", [1_500, pytest.param(1_000_000, marks=pytest.mark.full)])
@pytest.mark.medium
def test_every_event_is_accounted_for_exactly(tmp_path, n):
    store, spools = FolderStore(str(tmp_path / "store")), [Spool(tmp_path / f"{h}.db") for h in (0, 1)]
    truth: Counter = Counter()
    events, now = traffic(n, n, truth), START + timedelta(days=4)
    received = [0, 0]
    for turn in range(3):
        batch: list[list] = [[], []]
        for host, event in events:
            batch[host].append(event)
            received[host] += 1
            if turn < 2 and len(batch[0]) + len(batch[1]) >= n // 3:
                break
        for host, spool in enumerate(spools):
            for i in range(0, len(batch[host]), 2000):
                append(spool, batch[host][i : i + 2000])
            ship(spool, store, host=f"h{host}")
        if turn == 0:
            join_interval(store, SPEC, now=now, **SPAN)
        restate(store, SPEC, now=now)
    for host, spool in enumerate(spools):
        counts = spool.counts()
        assert counts["decisions"] + counts["rewards"] + counts["rejects"] == received[host]
        spool.close()
    before = sum((Account.from_dict(v.account) for v in newest(store, **SPAN).values()), Account())
    account = join_interval(store, SPEC, now=now, **SPAN)
    assert account.to_dict() == {name: truth[name] for name in account.to_dict()}
    assert before == account  # what was restated on the way is what joining everything gives
    rows = read_interactions(store, **SPAN)
    assert rows["event_id"].n_unique() == rows.height == truth["interactions"]
    assert rows["reward_count"].sum() == truth["on_time"]
    assert sum(received) == account.decisions_in + account.rewards_in
