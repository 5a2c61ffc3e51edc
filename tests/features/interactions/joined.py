"""A small log of decisions and rewards, and the join over it."""

from datetime import UTC, datetime, timedelta

from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.utc import to_us

START = datetime(2019, 11, 24, 10, tzinfo=UTC)

END, NOW = START + timedelta(hours=3), START + timedelta(days=40)

WINDOW = RewardSpec(window_seconds=60, kinds={"click": KindSpec()})


def decision(event_id: str, seconds: float = 0, **changes) -> Decision:
    base = dict(  # noqa: C408 - reads like the dataclass
        event_id=event_id,
        at=to_us(START) + int(seconds * 1e6),
        unit_id="u" * 32,
        context={"b": 1, "a": "x"},
        arms=("left", "right"),
        pmf=(0.25, 0.75),
        arm="right",
        propensity=0.75,
        policy="uniform",
        role="champion",
        release=1,
        arm_context=({"price": 1.0}, {"price": 2.0}),
    )
    return Decision(**(base | changes))


def reward(event_id: str, seconds: float = 1, value: float = 1.0, kind: str = "click", reward_id: str = "") -> Reward:
    return Reward(event_id=event_id, at=to_us(START) + int(seconds * 1e6), kind=kind, value=value, reward_id=reward_id)


def join(store, spec=WINDOW, *, now=NOW, start=START, end=END) -> Account:
    return join_interval(store, spec, start=start, end=end, now=now)


def rewards_of(store) -> dict[str, tuple[float, int]]:
    rows = read_interactions(store, start=START, end=END).iter_rows(named=True)
    return {row["event_id"]: (row["reward"], row["reward_count"]) for row in rows}
