"""One reward rule: features/reward.py is the reference; columns, the join and the fast loop give the same values."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import get_args

import polars as pl
import pytest

from croupier.features import reward as rule
from croupier.features.interactions import reward_columns
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log import closings
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.reward import CLOCK_SKEW_US, LOOKBACK_US, combined, counted, fates, in_reach, window_us
from croupier.features.schema import Decision, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR, to_us
from croupier.serving.learning.learning_scope import Scope
from croupier.serving.learning.learning_steps import Position, steps
from tests.spooled import rewards_of

START = datetime(2024, 2, 28, 22, tzinfo=UTC)
T0, SECOND, DAY = to_us(START), 1_000_000, 24 * HOUR
KINDS = ("click", "watch", "rate", "top", "noise")
COLUMNS = {"event_id": pl.String, "at": pl.Int64, "kind": pl.String, "value": pl.Float64, "reward_id": pl.String,
           "decided_at": pl.Int64}  # fmt: skip


def any_spec(rng, *, seconds=None, values="binary", sells=False):
    hows = [*rule.HOW]
    rng.shuffle(hows)
    clips = [None, (0.0, 1.0), (-0.5, 0.75), (-float("inf"), 2.0)]
    kinds = {
        name: KindSpec(
            how=how, weight=rng.choice([1.0, 0.5, -2.0, 0.0]), clip=rng.choice(clips), sold=sells and rng.random() < 0.5
        )
        for name, how in zip(KINDS, hows, strict=False)
    }
    seconds = seconds or rng.choice([0.000001, 60.0, 3600.0, 86400.0, 30 * 86400.0])
    return RewardSpec(window_seconds=seconds, default=rng.choice([0.0, -1.0, 0.25]), range=(-1e9, 1e9), kinds=kinds)


def any_rewards(rng, event, decided_at, window, *, value=None):
    """0–6 rewards: around every border to the microsecond, repeated, with and without ids, of kinds known and not."""
    edges = [-CLOCK_SKEW_US, round(-1.96 * HOUR), 0, window, LOOKBACK_US, -2 * HOUR, HOUR, DAY]
    found = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 6])):
        gap = rng.choice(edges) + rng.choice([-1, 0, 0, 1]) if rng.random() < 0.7 else rng.randint(-2 * HOUR, 31 * DAY)
        worth = value(rng) if value else rng.choice([0.0, -0.0, 0.5, 1.0, -1.0, 2.0, 0.25])
        one = Reward(event_id=event, at=decided_at + gap, kind=rng.choice(KINDS), value=worth,
                     reward_id=rng.choice(["", "", "r1", "r2"]))  # fmt: skip
        found += [one] * rng.choice([1, 1, 1, 2])
    rng.shuffle(found)
    return found


def check_columns(seed, events=500, value=None, sells=False):
    """Fates and numbers of many events at once, against the reference one at a time. Returns how often each fate came."""
    rng = random.Random(seed)
    spec = any_spec(rng, sells=sells)
    window = window_us(spec)
    made = {f"e{i}": T0 + rng.randint(0, 5 * DAY) for i in range(events)}
    sent = {event: any_rewards(rng, event, at, window, value=value) for event, at in made.items()}
    rows = [r.to_row() | {"value": float(r.value), "decided_at": made[r.event_id]} for e in sent for r in sent[e]]
    frame = pl.DataFrame(rows, schema=COLUMNS)
    near = frame.filter(reward_columns.in_reach_columns())
    fated = reward_columns.with_fate(near, window)
    expected = [(r, fate) for event in sent for r, fate in fates(sent[event], made[event], window)]
    told = Counter((r.event_id, r.at, r.kind, r.value, r.reward_id, fate) for r, fate in expected if fate != "orphan")
    assert Counter(fated.select("event_id", "at", "kind", "value", "reward_id", "fate").iter_rows()) == told
    assert len(frame) - len(near) == sum(fate == "orphan" for _, fate in expected)
    margins = {event: rng.choice(["", "-2.5", "0.0", "75.25"]) if sells else "" for event in made}
    each = pl.DataFrame([*margins.items()], {"event_id": pl.String, "margin": pl.String}, orient="row")
    fated = fated.join(each.with_columns(reward_columns.margin()), on="event_id", maintain_order="left")
    numbers = reward_columns.to_number(fated.filter(fate="on_time"), spec)
    found = {event: tuple(row) for event, *row in numbers.iter_rows()}
    for event, at in made.items():
        number, ones = combined(sent[event], at, spec, margins[event]), counted(sent[event], at, spec)
        assert (event in found) == (number is not None), event
        if number is not None:
            reward, *rest = found[event]
            exact = value is None and not sells
            close = number if exact else pytest.approx(number, rel=1e-12, abs=1e-12, nan_ok=True)
            assert (reward, rest) == (close, [len(ones), max(r.at for r in ones)]), event
    return Counter(fate for _, fate in expected)


def test_columns_follow_the_reference_in_thousands_of_cases():
    came = sum((check_columns(seed) for seed in range(5)), Counter())
    assert {fate: n > 300 for fate, n in came.items()} == dict.fromkeys(
        ("on_time", "late", "duplicate", "orphan"), True
    )


@pytest.mark.parametrize("value", [lambda rng: rng.gauss(0, 3), lambda rng: rng.choice([1e308, -1e308, 1e-308])])
def test_columns_follow_the_reference_for_any_number(value):
    for seed in range(3):
        check_columns(100 + seed, value=value)


def test_columns_follow_the_reference_of_sales_also_where_nobody_knows_their_margin():
    for seed in range(5):
        check_columns(200 + seed, sells=True)


def test_a_margin_that_is_left_out_is_seen(monkeypatch):
    monkeypatch.setattr(reward_columns, "margin", lambda: pl.lit(1.0).alias("margin"))
    with pytest.raises(AssertionError):
        check_columns(200, sells=True)


PLANTED = {
    "skew in whole hours": ("CLOCK_SKEW_US", 2 * HOUR - 1),
    "a reach of 31 days": ("LOOKBACK_US", 31 * DAY),
    "a microsecond less of reach": ("LOOKBACK_US", LOOKBACK_US - 1),
    "order by arrival": ("ORDER", ("event_id",)),
    "repeats count": ("first_of_equal", lambda: pl.lit(value=True)),
    "repeats by id alone": ("first_of_equal", lambda: pl.struct("event_id", "reward_id").is_first_distinct()),
    "max is last": ("how", lambda values, how=reward_columns.how: how(values) | {"max": values.last()}),
    "sum of the first": ("how", lambda values, how=reward_columns.how: how(values) | {"sum": values.first()}),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_error_in_the_columns_is_seen(monkeypatch, planted):
    monkeypatch.setattr(reward_columns, *PLANTED[planted])
    with pytest.raises(AssertionError):
        [check_columns(seed, events=300) for seed in range(8)]


def test_both_forms_know_every_declared_way_to_combine():
    declared = set(get_args(KindSpec.model_fields["how"].annotation))
    assert (set(rule.HOW), set(reward_columns.how(pl.col("value")))) == (declared, declared)


def of(at, value, kind="click", name=""):
    return Reward(event_id="e", at=at, kind=kind, value=value, reward_id=name)


MINUTE = RewardSpec(window_seconds=60.0, default=-0.5, range=(-9.0, 9.0), kinds={"click": KindSpec(how="first"),
          "watch": KindSpec(how="sum", weight=0.5, clip=(0.0, 2.0)), "top": KindSpec(how="max"),
          "rate": KindSpec(how="last", weight=-1.0)})  # fmt: skip


@pytest.mark.parametrize(("rewards", "expected"), [
    ([], None),
    ([of(-round(1.96 * HOUR), 1.0)], None),  # the join once took it, for it counted whole hours
    ([of(-HOUR, 1.0)], 1.0),
    ([of(-HOUR - 1, 1.0)], None),
    ([of(60 * SECOND, 1.0)], 1.0),  # the window's end is inside
    ([of(60 * SECOND + 1, 1.0)], None),
    ([of(9, 0.25), of(5, 0.75)], 0.75),  # first by its stamp, not by arrival
    ([of(5, 0.75), of(5, 0.25)], 0.25),  # of one moment: by content
    ([of(5, 3.0, "watch"), of(6, 3.0, "watch")], 1.0),  # equal content without an id: once, and clipped
    ([of(5, 1.0, "watch", "a"), of(6, 1.0, "watch", "b")], 1.0),
    ([of(5, 1.0, "watch", "a"), of(6, 7.0, "watch", "a")], 0.5),  # one id: the earlier, whatever it says
    ([of(5, 1.0, "top"), of(6, 3.0, "top"), of(7, 2.0, "top")], 3.0),
    ([of(5, 1.0, "rate"), of(6, 3.0, "rate"), of(60 * SECOND + 1, 9.0, "rate")], -3.0),  # a late one never moves it
    ([of(5, 1.0), of(6, 1.0, "watch"), of(7, 1.0, "rate"), of(8, 9.0, "noise")], 0.5),
    ([of(5, 9.0, "noise")], None),
])  # fmt: skip
def test_the_rule_by_hand(rewards, expected):
    assert combined(rewards, 0, MINUTE) == expected


def decided(event, at):
    return Decision(
        event_id=event,
        at=at,
        unit_id="u",
        context={},
        arms=("a",),
        pmf=(1.0,),
        arm="a",
        propensity=1.0,
        policy="p",
        role="champion",
        release=1,
    )


def learnt(spool, spec):
    """event → what the fast loop's steps leave it at; every step begins where the one before ended."""
    found, scope = {}, Scope(frozenset({1}))
    for _, chunk in steps(spool, [scope], spec, after=Position(), limit=7):
        for step in chunk:
            assert step.before == found.get(step.decision.event_id)
            found[step.decision.event_id] = step.now
    return found


def whole_way(folder, rng, spec, made, sent):
    """(rewards that the host's log holds, join's numbers, fast loop's): rewards come in any order, before their decision, and long after
    its window was closed."""
    spool, store = Spool(folder / "log.db", durability="NORMAL"), open_store(f"{folder}/store")
    arriving = [(at + rng.choice([0, 0, 100, 4000]) * SECOND, decided(event, at)) for event, at in made.items()]
    arriving += [(r.at + rng.choice([0, 0, 1, 500, 9000]) * SECOND, r) for rewards in sent.values() for r in rewards]
    for when, one in sorted(arriving, key=lambda pair: pair[0]):
        (spool.append_rewards if isinstance(one, Reward) else spool.append_decisions)([one])
        if rng.random() < 0.1:
            closings.close_windows(spool, when - window_us(spec))
    while closings.close_windows(spool, T0 + 90 * DAY):
        pass
    ship(spool, store, host="h")
    end = START + timedelta(hours=3)
    join_interval(store, spec, start=START, end=end, now=START + timedelta(days=90))
    rows = read_interactions(store, start=START, end=end)
    kept = {event: [r for _, r in found] for event, found in rewards_of(spool, list(made)).items()}
    fast = learnt(spool, spec)
    spool.close()
    return kept, dict(rows.select("event_id", "reward").iter_rows()), fast


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_the_join_and_the_fast_loop_give_the_reference_s_values(tmp_path, seed):
    """Values are binary fractions, so that sums are exact in any order."""
    rng = random.Random(seed)
    spec = any_spec(rng, seconds=(60.0, 3600.0, 86400.0)[seed % 3])
    made = {f"e{i}": T0 + rng.randint(0, 3 * HOUR - 1) for i in range(120)}
    sent = {event: any_rewards(rng, event, at, window_us(spec)) for event, at in made.items()}
    kept, slow, fast = whole_way(tmp_path, rng, spec, made, sent)
    expected = {event: combined(kept.get(event, []), at, spec) for event, at in made.items()}
    expected = {event: spec.default if number is None else number for event, number in expected.items()}
    assert len(set(expected.values())) > 5
    assert slow == expected
    assert fast == expected


@pytest.mark.medium
@pytest.mark.parametrize(("minute", "gap", "counts"), [
    (59, -1.96 * HOUR, False),  # whole hours apart: one; in the join it counted, in the fast loop it did not
    (0, -HOUR, True),
    (59, -HOUR, True),
    (59, -HOUR - 1, False),
    (59, LOOKBACK_US, True),  # 721 hours begin in between: the last of them must be looked up
    (59, LOOKBACK_US + 1, False),
])  # fmt: skip
def test_the_edges_of_reach_the_whole_way(tmp_path, minute, gap, counts):
    spec = RewardSpec(window_seconds=LOOKBACK_US / 1e6, kinds={"click": KindSpec()})
    at = T0 + minute * 60 * SECOND + 59_999_999
    sent = {"e": [Reward(event_id="e", at=at + int(gap), kind="click", value=1.0)]}
    _, slow, fast = whole_way(tmp_path, random.Random(0), spec, {"e": at}, sent)
    assert slow == fast == {"e": 1.0 if counts else 0.0}
    assert in_reach(at + int(gap), at) == counts
