"""Three hours of three hosts' logs in which all that a join has to tell apart happens, some of it at the same moment."""

from datetime import UTC, datetime, timedelta

import polars as pl

from croupier.features.interactions import quarantine
from croupier.features.interactions.versions import empty, newest, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.shipped import REWARD, read_rows
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.utc import HOUR, SECOND, to_us

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
T0, HOURS, EACH = to_us(START), 3, 48
SPAN = {"start": START - timedelta(hours=1), "end": START + timedelta(hours=HOURS + 6)}
NOW = START + timedelta(hours=2, minutes=50)  # the windows of the last minutes are open
SPEC = RewardSpec(
    window_seconds=1200,
    default=-0.25,
    kinds={
        "click": KindSpec(),
        "watch": KindSpec(how="max", weight=2.0, clip=(-0.5, 1.0)),
        "buy": KindSpec(sold=True),
        "rate": KindSpec(how="last"),
    },
)


def decided(hour: int, i: int) -> tuple[str, int]:
    """The event id and the time of a decision: four of them are made at once, in a slate, by ids of one's own, or by
    UUIDv7."""
    at = T0 + hour * HOUR + i // 4 * 280 * SECOND
    stamp = f"{at // 1000:012x}"
    told = f"{stamp[:8]}-{stamp[8:]}-7{hour:03x}-8000-{i * 7919:012x}"
    return (f"PAGE-{hour}-{i // 4}/{i % 4}", f"own-{hour}-{i}", told)[i // 4 % 3], at


def decisions(host: int) -> list[Decision]:
    """Those of a host: a third of each hour's, and repeats of what other hosts decided, some of them hours later."""
    made = [(*decided(hour, i), i) for hour in range(HOURS) for i in range(EACH) if i % 3 == host]
    other = [(*decided(hour, i), i) for hour in range(HOURS) for i in range(EACH) if i % 9 == host + 1]
    made += [(event, at + (i % 4) * HOUR + 5 * SECOND * (i % 2), i) for event, at, i in other]
    return [_decision(event, at, i) for event, at, i in made]


def _decision(event: str, at: int, i: int) -> Decision:
    return Decision(
        event_id=event,
        at=at,
        unit_id=f"{i % 5}" * 32,
        context={"n": i},
        arms=("a", "b"),
        pmf=(0.25, 0.75),
        arm="ab"[i % 2],
        propensity=(0.25, 0.75)[i % 2],
        policy="p",
        role="champion",
        release=1,
        pass_probability=(1.0, 0.5)[i % 7 == 0],
        margin=("", "1.5", "0.25")[i % 3],
    )


def rewards(host: int) -> list[Reward]:
    """On time, at the edge, early, late, repeated at two hosts, of another hour, and for nobody."""
    found = []
    for hour in range(HOURS):
        for i in range(EACH):
            event, at = decided(hour, i)
            after = (5, 1200, -900, 1201, 3000, 2 * 3600, 40)[i % 7] * SECOND
            if i % 3 == host or i % 5 == host:  # some reach two hosts
                found.append(_reward(event, at + after, ("click", "watch", "buy", "rate", "other")[i % 5], i / 16))
            if i % 4 == host:
                found += [
                    _reward(event, at + 9 * SECOND, "watch", i % 3 - 1.0, f"r{i}"),
                    _reward(event, at + 8 * SECOND, "rate", i % 3 - 1.0),
                ]
            if i % 8 == host:
                found.append(_reward(f"nobody-{hour}-{i}", at, "click", 1.0))
    return found


def _reward(event: str, at: int, kind: str, value: float, reward_id: str = "") -> Reward:
    return Reward(event_id=event, at=at, kind=kind, value=value, reward_id=reward_id)


def rejects(host: int) -> list[tuple[str, str, bytes, str, int]]:
    """What was refused, and counts of what was thinned, of each hour."""
    kinds = [
        ("decision", "context", b"{", "not JSON"),
        ("reward", "value", b"NaN", "not finite"),
        ("reward", "kind", b"x", "undeclared_kind: x"),
        ("thinned", "", b"7", ""),
    ]
    return [(*kind, T0 + hour * HOUR + host * SECOND) for hour in range(HOURS) for kind in kinds[host:]]


def write(store, folder, hosts=(0, 1, 2), only=None) -> None:
    """Ships the hosts' logs; `only`: these rewards alone, from each."""
    for host in hosts:
        spool = Spool(folder / f"{host}.db", durability="NORMAL")
        if only is None:
            spool.append_decisions(decisions(host))
            spool.append_rejects(rejects(host))
        spool.append_rewards(rewards(host) if only is None else only)
        ship(spool, store, host=f"h{host}")
        spool.close()


def hold(store) -> None:
    """Takes four decisions of the first hour out of it, one for good, and lets one in again."""
    states = (quarantine.HELD, quarantine.HELD, quarantine.DROPPED, quarantine.STOPPED, quarantine.RELEASED)
    rows = read_interactions(store, start=START, end=START + timedelta(hours=1))[3:20:3].head(len(states))
    frame = rows.with_columns(rule=pl.lit("reward"), state=pl.Series(states))
    quarantine.write(store, "2026-03-28T22", frame, None)


def state(store) -> dict[str, object]:
    """Each hour's version, account, change, interactions in their order, and late rewards in theirs. Rows
    as text: rewards that nobody knows are NaN."""
    found: dict[str, object] = {}
    for hour, version in newest(store, **SPAN).items():
        paths = store.fetch([version.data], None)
        late = read_rows(store.fetch([version.late] if version.late else [], None), REWARD)
        found[hour] = (
            version.version,
            version.rows,
            version.account,
            version.changed,
            [repr(row) for row in read_rows(paths, empty().schema).iter_rows()],
            late.rows(),
        )
    return found
