"""The join against a model of it in plain Python, on schedules that Hypothesis makes up.

A schedule is what happened to a few decisions: rewards on time, at the very edge, late, early by clock skew, repeated
up to five times, for nobody, negative, arriving in any order and over several shipments, on two hosts. All of it goes
the whole way: spool, ship, join. Marked full: 10,000 schedules.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import to_us

START = datetime(2026, 3, 28, 22, tzinfo=UTC)  # over midnight and a day of daylight saving
T0, MINUTE = to_us(START), 60_000_000
END = START + timedelta(hours=8)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
KINDS = ("click", "watch", "other")


@dataclass(frozen=True)
class Happened:
    """One reward as it was sent: `times` copies, each to a host and in a shipment of its own."""

    reward: Reward
    copies: tuple[tuple[int, int], ...]  # (host, shipment)


@st.composite
def schedule(draw):
    """1–3 decisions within three hours and 0–5 different rewards; times in whole minutes, so that edges are hit."""
    n = draw(st.integers(1, 3))
    decisions = [(draw(st.integers(0, 179)) * MINUTE, draw(place)) for _ in range(n)]
    happened = []
    for _ in range(draw(st.integers(0, 5))):
        about = draw(st.integers(0, n))  # n: nobody
        base = decisions[about][0] if about < n else draw(st.integers(0, 179)) * MINUTE
        after = draw(st.sampled_from([-5, -1, 0, 1, 29, 30, 31, 60, 61, 150]) | st.integers(-5, 90)) * MINUTE
        reward = (about, base + after, draw(st.sampled_from(KINDS)), draw(st.integers(-3, 3)) / 2,
                  draw(st.sampled_from(["", "", "r1", "r2"])))  # fmt: skip
        happened.append((reward, tuple(draw(st.lists(place, min_size=1, max_size=5)))))
    return decisions, happened


place = st.tuples(st.integers(0, 1), st.integers(0, 2))  # host, shipment
how = st.sampled_from(["first", "last", "sum", "max"])
clip = st.sampled_from([None, (-0.5, 1.0)])
kind = st.builds(KindSpec, how=how, weight=st.sampled_from([1.0, -2.0, 0.5]), clip=clip)
specs = st.builds(
    RewardSpec,
    window_seconds=st.just(1800.0),
    default=st.sampled_from([0.0, -1.0]),
    kinds=st.fixed_dictionaries({"click": kind}, optional={"watch": kind}),
)


def named(i, raw):
    """Schedules share a log: their events get names of their own."""
    decisions, happened = raw
    logged = [
        (
            Decision(
                event_id=f"s{i}d{j}",
                at=T0 + at,
                unit_id="u",
                context={},
                arms=("a", "b"),
                pmf=(0.5, 0.5),
                arm="a",
                propensity=0.5,
                policy="p",
                role="champion",
                release=1,
            ),
            place,
        )
        for j, (at, place) in enumerate(decisions)
    ]
    rewards = [
        Happened(Reward(event_id=f"s{i}d{j}", at=T0 + at, kind=kind, value=value, reward_id=rid), copies)
        for (j, at, kind, value, rid), copies in happened
    ]
    return logged, rewards


def model(logged, happened, spec):
    """The definition, one event at a time: what a host keeps, then what the join makes of what the hosts kept."""
    counts, kept = Counter(), []
    for host in (0, 1):
        seen = set()
        for turn in range(3):
            for h in happened:
                for _ in range(h.copies.count((host, turn))):
                    counts["rewards_in"] += 1
                    again = (h.reward.event_id, identity(h.reward)) in seen
                    counts["duplicate"] += again
                    kept += [] if again else [h.reward]
                    seen.add((h.reward.event_id, identity(h.reward)))
    decided_at = {d.event_id: d.at for d, _ in logged}
    counted, seen = {event_id: [] for event_id in decided_at}, set()
    for r in sorted(kept, key=lambda r: (r.at, r.kind, r.value, r.reward_id)):
        if r.event_id not in decided_at:
            counts["orphan"] += 1
        elif (r.event_id, identity(r)) in seen:
            counts["duplicate"] += 1
        elif r.at > decided_at[r.event_id] + spec.window_seconds * 1e6:
            counts["late"] += 1
        else:
            counts["on_time"] += 1
            counted[r.event_id] += [r] if r.kind in spec.kinds else []
        seen.add((r.event_id, identity(r)))
    return {event_id: number(rewards, spec) for event_id, rewards in counted.items()}, counts


def identity(r):
    return ("id", r.reward_id) if r.reward_id else ("content", r.kind, r.value)


def number(rewards, spec):
    if not rewards:
        return spec.default, 0
    total = 0.0
    for name, rule in spec.kinds.items():
        values = [r.value for r in rewards if r.kind == name]
        if values:
            pick = {"first": values[0], "last": values[-1], "sum": sum(values), "max": max(values)}
            value = pick[rule.how]
            if rule.clip:
                value = min(max(value, rule.clip[0]), rule.clip[1])
            total += rule.weight * value
    return total, len(rewards)


def play(schedules, folder):
    """Sends everything to two hosts, in three shipments, and ships."""
    store = FolderStore(f"{folder}/store")
    spools = [Spool(Path(folder) / f"{host}.sqlite", durability="NORMAL") for host in (0, 1)]
    for turn in range(3):
        for host, spool in enumerate(spools):
            spool.append_decisions([d for logged, _ in schedules for d, p in logged if p == (host, turn)])
            spool.append_rewards(
                [h.reward for _, happened in schedules for h in happened for p in h.copies if p == (host, turn)]
            )
            ship(spool, store, host=f"h{host}")
    for spool in spools:
        spool.close()
    return store


def check(raw, spec):
    schedules = [named(i, one) for i, one in enumerate(raw)]
    expected, counts = {}, Counter()
    for logged, happened in schedules:
        rewards, more = model(logged, happened, spec)
        expected |= rewards
        counts.update(more)
    with TemporaryDirectory(dir=MEMORY) as folder:  # durability is another test's subject
        store = play(schedules, folder)
        account = join_interval(store, spec, start=START - timedelta(hours=1), end=END, now=END)
        rows = read_interactions(store, start=START, end=END)
    found = {r["event_id"]: (r["reward"], r["reward_count"]) for r in rows.iter_rows(named=True)}
    assert found == expected
    names = ("rewards_in", "on_time", "late", "orphan", "duplicate")
    assert {name: getattr(account, name) for name in names} == {name: counts[name] for name in names}
    assert account.decisions_in == account.interactions == len(expected)


EACH = 10  # schedules share one log, so that a thousand logs are ten thousand schedules
lists = st.lists(schedule(), min_size=EACH, max_size=EACH)
relaxed = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)


@settings(relaxed, max_examples=8)
@given(lists, specs)
@pytest.mark.medium
def test_join_equals_the_model(raw, spec):
    check(raw, spec)


@pytest.mark.timeout(3600)
@pytest.mark.full
@settings(relaxed, max_examples=1000)
@given(lists, specs)
def test_join_equals_the_model_on_ten_thousand_schedules(raw, spec):
    check(raw, spec)
