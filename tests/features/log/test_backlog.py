"""What a host's log says of its shipper and of its rewards: rows by hand, and a store that fails half-way."""

import pytest

from croupier.features.log.backlog import FEWEST, backlog
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import Decision, Reward
from croupier.features.store.storage import StoreUnavailable, open_store
from croupier.features.utc import SECOND

START = 1_790_000_000 * SECOND
WINDOW = 10 * SECOND


def decision(i):
    """The i-th decision, one a second."""
    return Decision(
        event_id=f"e{i}",
        at=START + i * SECOND,
        unit_id="u",
        context={},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        release=1,
        role="champion",
        policy="uniform",
        arm_context=(),
    )


def reward(i):
    return Reward(event_id=f"e{i}", at=START + i * SECOND, kind="click", value=1.0)


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path / "log.db", durability="NORMAL")
    yield opened
    opened.close()


def seen(spool, second):
    return backlog(spool.path, window_us=WINDOW, now=START + second * SECOND)


def test_an_empty_log_waits_for_nothing(spool):
    found = seen(spool, 100)
    assert (found.unshipped, found.oldest_unshipped, found.newest_shipped, found.newest) == (0, None, None, None)
    assert found.expected_rewards is None
    assert found.bytes > 0


def test_what_is_not_shipped_has_the_age_of_its_oldest_decision(spool, tmp_path):
    store = open_store(str(tmp_path / "store"))
    spool.append_decisions([decision(i) for i in range(5)])
    found = seen(spool, 5)
    assert (found.unshipped, found.oldest_unshipped, found.newest_shipped) == (5, START, None)
    ship(spool, store, host="h")
    found = seen(spool, 5)
    assert (found.unshipped, found.oldest_unshipped, found.newest_shipped) == (0, None, START + 4 * SECOND)
    spool.append_decisions([decision(5), decision(6)])
    found = seen(spool, 7)
    assert (found.unshipped, found.oldest_unshipped) == (2, START + 5 * SECOND)
    assert (found.newest_shipped, found.newest) == (START + 4 * SECOND, START + 6 * SECOND)


def test_a_shipment_that_the_store_did_not_take_is_not_shipped(spool, tmp_path):
    """`unshipped` rows are 0 then: a shipment has taken them, and cannot end."""

    class Down:
        url = "down"

        def list(self, prefix):
            return []

        def create(self, key, data):
            raise StoreUnavailable("no answer")

    spool.append_decisions([decision(i) for i in range(3)])
    with pytest.raises(StoreUnavailable):
        ship(spool, Down(), host="h")
    found = seen(spool, 9)
    assert (found.unshipped, found.oldest_unshipped, found.newest_shipped) == (0, START, None)
    ship(spool, open_store(str(tmp_path / "store")), host="h")
    assert seen(spool, 9).oldest_unshipped is None


def every_fourth(spool, decisions):
    """Decisions of which every fourth is rewarded at once."""
    for i in decisions:
        spool.append_decisions([decision(i)])
        if i % 4 == 0:
            spool.append_rewards([reward(i)])


def test_rewards_that_stop_are_missed_once_windows_have_passed(spool):
    every_fourth(spool, range(400))  # 100 rewarded ones, the last is e396
    assert seen(spool, 400).expected_rewards == 0, "e397 to e399 are within their window"
    spool.append_decisions([decision(i) for i in range(400, 600)])
    # of e397 … e589 the window has passed by second 600: 193 decisions, of which 100 in 397 would have had a reward
    assert seen(spool, 600 - 1).expected_rewards == pytest.approx(193 * 100 / 397)
    spool.append_rewards([reward(599)])
    assert seen(spool, 700).expected_rewards == 0


def test_few_rewards_say_nothing(spool):
    every_fourth(spool, range(4 * (FEWEST - 1)))
    spool.append_decisions([decision(i) for i in range(400, 600)])
    assert seen(spool, 999).expected_rewards is None


def test_late_rewards_of_old_decisions_make_no_alarm_likelier(spool):
    every_fourth(spool, range(400))
    spool.append_decisions([decision(i) for i in range(400, 600)])
    usual = 100 / 397
    spool.append_rewards([reward(1)])
    spool.append_decisions([decision(i) for i in range(600, 700)])
    missed = seen(spool, 999).expected_rewards
    assert missed == pytest.approx(100 * 101 / 600)
    assert missed < 100 * usual


def test_several_rewards_of_a_decision_are_one_rewarded_decision(spool):
    for i in range(100):
        spool.append_decisions([decision(i)])
        if i % 4 == 0:
            spool.append_rewards([Reward(event_id=f"e{i}", at=START, kind="click", value=float(v)) for v in range(3)])
    spool.append_decisions([decision(i) for i in range(100, 200)])
    assert seen(spool, 999).expected_rewards == pytest.approx(103 * 25 / 97)


def test_imported_logs_have_their_rewards_behind_all_decisions(spool):
    spool.append_decisions([decision(i) for i in range(100)])
    spool.append_rewards([reward(i) for i in range(0, 100, 4)])
    assert seen(spool, 999).expected_rewards == 0
    spool.append_decisions([decision(i) for i in range(100, 140)])
    assert seen(spool, 999).expected_rewards == pytest.approx(40 * 25 / 100)


def test_looking_writes_nothing_and_waits_for_no_writer(spool):
    every_fourth(spool, range(100))
    before = spool.db.execute("PRAGMA data_version").fetchone()
    with spool.transaction() as db:
        db.execute("DELETE FROM rewards")
        found = seen(spool, 100)  # beside an open transaction, whose work it does not see
        db.execute("ROLLBACK")
        db.execute("BEGIN")
    assert (found.unshipped, found.bytes) == (125, spool.size())
    assert found.unshipped == spool.unshipped()
    assert spool.db.execute("PRAGMA data_version").fetchone() == before


def test_what_is_no_log_is_named(tmp_path):
    (tmp_path / "log.db").write_bytes(b"words" * 100)
    with pytest.raises(SpoolUnavailable, match=r"log.db: file is not a database"):
        backlog(tmp_path / "log.db", window_us=WINDOW, now=START)
