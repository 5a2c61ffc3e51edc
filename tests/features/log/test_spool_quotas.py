"""No sort of event pushes out another: quotas of the log, and what is counted where nothing is kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from croupier.features.ids import uuid7
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval
from croupier.features.log import spool_quotas
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import decision
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import to_us

REWARD = Reward(event_id="e", at=10**15, kind="click", value=1.0)


def make(event_id: str = "") -> Decision:
    return Decision(
        event_id=event_id or uuid7(),
        at=10**15,
        unit_id="u" * 32,
        context={"text": "x" * 400},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=3,
    )


def room(tmp_path, max_bytes=4 << 20):
    return Spool(tmp_path / "log.sqlite", max_bytes=max_bytes, durability="NORMAL")


def test_bad_requests_thin_no_good_decision(tmp_path):
    """200 requests of 64 KiB that are refused, and 1,280 decisions: all of these are kept, with probability 1."""
    spool = room(tmp_path)
    for i in range(20):
        junk = bytes([i, 255]) * (32 << 10)
        spool.append_rejects([("decision", "context", junk, "context: found something, expected JSON", 10**15)] * 10)
        spool.append_decisions([make() for _ in range(64)])
    counts = spool.counts()
    assert counts == {"decisions": 1280, "rewards": 0, "rejects": 200, "thinned": 0}
    assert {decision(body).pass_probability for _, body in spool.read("decisions")} == {1.0}
    assert spool.size() < 2.2 * (1 << 20)
    spool.close()


def test_a_flood_of_rewards_thins_no_decision_and_ends_at_its_own_quota(tmp_path):
    spool, taken = room(tmp_path, 1 << 20), 0

    def flood(i, n=50):
        return spool.append_rewards([replace(REWARD, event_id=f"nobody-{i}-{k}") for k in range(n)])

    while spool_quotas.used(spool.db, "rewards") < (1 << 20) - 11_000:  # 50 of them take 10,000
        taken += sum(flood(taken))
    with pytest.raises(SpoolUnavailable, match=r"log\.sqlite: rewards fill their share of CROUPIER_SPOOL_MAX_BYTES"):
        flood(taken, 100)
    assert 3000 < taken == spool.counts()["rewards"] < 6000
    assert 0.8 * (1 << 20) < spool.size() < 1.2 * (1 << 20)
    spool.append_decisions([make() for _ in range(640)])
    assert spool.counts()["thinned"] == 0
    spool.purge([("rewards", [row for row, _ in spool.read("rewards", limit=1000)])])
    assert spool.append_rewards([REWARD]) == [True]
    spool.close()


def test_rejects_beyond_their_quota_are_counted_by_reason_and_the_account_is_exact(tmp_path):
    spool, store = room(tmp_path, 64 << 10), FolderStore(str(tmp_path / "store"))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = to_us(start)
    spool.append_decisions([replace(make("e"), at=at)])
    spool.append_rewards([replace(REWARD, at=at)] * 41)  # 40 of them repeats
    for _ in range(3):
        spool.append_rejects([("reward", "kind", b"x" * 300, "undeclared_kind: kind: found 'clikc'", at)] * 20)
        spool.append_rejects([("reward", "event_id", b"x" * 300, "event_id: found 0 bytes", at)] * 10)
        spool.append_rejects([("decision", "arms", b"x" * 300, "arms: found {}", at)] * 5)
        ship(spool, store, host="h")
    assert len(spool.read("rejects")) < 60
    account = join_interval(
        store, RewardSpec(), start=start, end=start + timedelta(hours=1), now=start + timedelta(hours=3)
    )
    assert (
        account.to_dict()
        == Account(
            decisions_in=16,
            interactions=1,
            decisions_malformed=15,
            rewards_in=131,
            on_time=1,
            duplicate=40,
            undeclared=60,
            malformed=30,
        ).to_dict()
    )
    spool.close()


def test_a_thinned_decision_that_is_sent_again_counts_once_whatever_room_there_is_by_then(tmp_path):
    spool = room(tmp_path, 512 << 10)
    made = [[make() for _ in range(50)] for _ in range(60)]
    for batch in made:
        spool.append_decisions(batch)
    before = spool.counts()
    held = {decision(body).event_id for _, body in spool.read("decisions")}
    out = [d for d in made[-1] if d.event_id not in held]
    assert before["thinned"] > 500
    assert len(out) > 10
    assert spool.append_decisions(out) == out  # answered again, as they were decided
    assert spool.counts() == before
    spool.purge([("decisions", [row for row, _ in spool.read("decisions")])])
    spool.append_decisions([*out, make("new")])
    after = spool.counts()
    assert (after["decisions"], after["thinned"]) == (before["decisions"] + 1, before["thinned"])
    assert set(spool.find([d.event_id for d in out])) == set()
    spool.close()


def test_a_spool_of_an_older_version_gets_its_quotas(tmp_path):
    spool = room(tmp_path)
    spool.append_rewards([REWARD])
    spool.append_rejects([("decision", "x", b"raw", "why", 1)])
    known = {kind: spool_quotas.used(spool.db, kind) for kind in ("rewards", "rejects")}
    assert min(known.values()) > 50
    with spool.transaction() as db:
        for table in ("rewards", "rejects"):
            db.execute(f"DROP TRIGGER {table}_went")
        db.execute("DROP TRIGGER rejects_came")
        db.execute("DELETE FROM facts WHERE name LIKE 'bytes_%'")
    spool.close()
    again = room(tmp_path)
    assert {kind: spool_quotas.used(again.db, kind) for kind in ("rewards", "rejects")} == known
    again.purge([("rewards", [1]), ("rejects", [1])])
    assert {kind: spool_quotas.used(again.db, kind) for kind in ("rewards", "rejects")} == {"rewards": 0, "rejects": 0}
    again.close()
