"""Decisions left-joined with rewards: what each event becomes, and that the account of them balances."""

from datetime import timedelta

import pytest

from croupier.features.interactions.account import Account, Unbalanced
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.utc import to_us
from tests.features.interactions.joined import END, START, decision, join, reward, rewards_of


def test_a_decision_comes_back_whole_with_its_reward(log, store):
    asked = decision("e1", 5)
    log(asked, reward("e1", 7, 0.5))
    join(store)
    (row,) = read_interactions(store, start=START, end=END).to_dicts()
    assert Decision.from_row(row) == asked
    assert (row["reward"], row["reward_count"], row["reward_at"]) == (0.5, 1, to_us(START) + 7_000_000)
    assert row["context"] == '{"a":"x","b":1}'


def test_the_account_balances(log, store):
    """Planted: 6 decisions (one repeated on another host), rewards on time ×3, late ×2, orphan ×2, repeated ×4,
    malformed ×3, and one decision whose window is open."""
    now = START + timedelta(hours=2)
    log(
        *(decision(f"e{i}", 600 * i) for i in range(6)),
        decision("open", 7190),
        reward("e0", 1),
        reward("e0", 2),
        reward("e0", 3),  # equal content: one reward, two repeats
        reward("e1", 601, reward_id="r"),
        reward("e1", 602, 7.0, reward_id="r"),  # equal id: one repeat
        reward("e2", 1200 + 60),
        reward("e3", 1800 + 61),
        reward("e4", 5000),  # at the edge, late, late
        reward("nobody", 5),
        reward("nobody else", 4000),
    )
    log.spool.append_rejects([("reward", "value", b"nan", "not finite", to_us(START))] * 3)
    log.spool.append_rejects([("decision", "context", b"{", "not JSON", to_us(START))])
    other = Spool(log.spool.path.with_name("other.sqlite"))
    other.append_decisions([decision("e5", 3000.5)])
    other.append_rewards([reward("e1", 603, 7.0, reward_id="r")])  # this repeat is only seen at the join
    ship(log.spool, store, host="h1")
    ship(other, store, host="h2")
    account = join(store, now=now)
    assert account == Account(
        decisions_in=9,
        interactions=6,
        immature=1,
        decision_duplicates=1,
        decisions_malformed=1,
        rewards_in=14,
        on_time=3,
        late=2,
        orphan=2,
        malformed=3,
        duplicate=4,
    )
    received = [spool.counts() for spool in (log.spool, other)]
    assert sum(c["decisions"] + c["rewards"] + c["rejects"] for c in received) == 9 + 14
    assert rewards_of(store) == {
        "e0": (1.0, 1),
        "e1": (1.0, 1),
        "e2": (1.0, 1),
        "e3": (0.0, 0),
        "e4": (0.0, 0),
        "e5": (0.0, 0),
    }
    other.close()


def test_decided_is_logged_plus_thinned(tmp_path, store):
    spool = Spool(tmp_path / "log.sqlite", max_bytes=256 << 10)
    for batch in range(20):
        spool.append_decisions([decision(f"e{batch}-{i}", batch) for i in range(50)])
        if batch % 5 == 0:
            ship(spool, store, host="h")
    ship(spool, store, host="h")
    account = join(store)
    assert account.decisions_in == 1000
    assert account.thinned == spool.counts()["thinned"] > 100
    assert account.interactions == spool.counts()["decisions"] == 1000 - account.thinned
    spool.close()


def test_an_unbalanced_account_is_an_error():
    with pytest.raises(Unbalanced, match="'rewards_in': 2"):
        Account(rewards_in=2, on_time=1).checked()


def test_a_reward_may_come_before_its_decision_and_in_the_hour_before(log, store):
    log(decision("e", 3601), reward("e", 3599))
    assert join(store).on_time == 1
    assert rewards_of(store) == {"e": (1.0, 1)}


def test_a_reward_of_the_hour_before_counts_where_that_hour_itself_is_not_joined(log, store):
    log(decision("e", 3601), reward("e", 3599), decision("first", 7200), reward("first", 3600))
    assert join(store, start=START + timedelta(hours=1), end=START + timedelta(hours=2)).on_time == 1
    assert rewards_of(store) == {"e": (1.0, 1)}
    assert (
        join(store, start=START + timedelta(hours=2), end=START + timedelta(hours=3)).on_time == 1
    )  # an hour to the µs
    assert rewards_of(store) == {"e": (1.0, 1), "first": (1.0, 1)}


MONTH = 30 * 24 * 3600


@pytest.mark.parametrize("decided", [0, 3599])
def test_a_reward_at_the_very_end_of_the_longest_window_counts(log, store, decided):
    log(decision("e", decided), reward("e", decided + MONTH), reward("e", decided + MONTH + 1, reward_id="after"))
    spec = RewardSpec(window_seconds=MONTH)
    found = join(store, spec, end=START + timedelta(hours=1))
    assert (found.interactions, found.on_time, found.late) == (1, 1, 0)
    assert rewards_of(store) == {"e": (1.0, 1)}
    later = START + timedelta(seconds=decided + MONTH)
    assert join(store, spec, start=later, end=later + timedelta(seconds=2)).orphan == 1  # the one beyond a month


@pytest.mark.parametrize(("decided", "rewarded"), [(0, MONTH), (3600 + 3599, 3599), (3601, 1)])
def test_a_reward_in_another_hour_than_its_decision_is_no_orphan_there(log, store, decided, rewarded):
    """Each at the end of what is looked through: a month before, an hour after."""
    log(decision("e", decided), reward("e", rewarded), reward("nobody", rewarded + 0.5))
    hour = START + timedelta(seconds=rewarded)
    found = join(store, RewardSpec(window_seconds=60), start=hour, end=hour + timedelta(seconds=1))
    assert (found.rewards_in, found.orphan, found.interactions) == (1, 1, 0)


@pytest.mark.parametrize(
    ("how", "expected"), [("first", 3.0), ("last", -1.0), ("max", 5.0), ("sum", 7.0)],
)  # fmt: skip
def test_several_rewards_become_one_number(log, store, how, expected):
    log(decision("e"), *(reward("e", i + 1, v, reward_id=f"{i}") for i, v in enumerate([3.0, 5.0, -1.0])))
    join(store, RewardSpec(window_seconds=60, kinds={"click": KindSpec(how=how)}))
    assert rewards_of(store) == {"e": (expected, 3)}


def test_kinds_are_clipped_weighted_and_added_and_others_do_not_count(log, store):
    log(decision("e"), decision("none", 1), reward("e", 1), reward("e", 2, 100.0, "watch"), reward("e", 3, 9.0, "heat"))
    spec = RewardSpec(
        window_seconds=60,
        default=-0.5,
        range=(-1.0, 5.0),
        kinds={"click": KindSpec(weight=2.0), "watch": KindSpec(how="sum", weight=0.1, clip=(0.0, 30.0))},
    )
    assert join(store, spec).on_time == 3
    assert rewards_of(store) == {"e": (5.0, 2), "none": (-0.5, 0)}


def test_a_window_longer_than_the_join_looks_back_is_refused(store):
    with pytest.raises(ValueError, match=r"window_seconds: found .* expected at most 30 days"):
        join(store, RewardSpec(window_seconds=31 * 86400))
