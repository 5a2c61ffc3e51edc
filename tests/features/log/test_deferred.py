"""Decisions that wait for their activation: on disk, once, as they were made, and not for ever."""

from datetime import timedelta

import pytest

from croupier.features.interactions.privacy import forget, retain
from croupier.features.log import deferred
from croupier.features.log.spool import Spool
from croupier.features.store.storage import open_store
from croupier.features.utc import from_us
from tests.features.interactions.joined import WINDOW, decision

BASE = decision("e").at


def spooled(path, *decisions, since=0):
    spool = Spool(path / "log.db")
    deferred.Deferring(spool, since=since).append_decisions(decisions)
    return spool


def test_one_that_waits_is_no_event_and_then_the_event_that_was_made(tmp_path):
    made = decision("e", pmf=(0.1, 0.9), propensity=0.9)
    with_e = spooled(tmp_path, made)
    assert (with_e.find(["e"]), with_e.counts()["decisions"], deferred.waiting(with_e)) == ({}, 0, 1)
    with_e.close()  # and opened by another process, later
    later = Spool(tmp_path / "log.db")
    assert deferred.activate(later, "e", since=0)
    assert (later.find(["e"]), deferred.waiting(later)) == ({"e": made}, 0)
    assert deferred.activate(later, "e", since=0), "again is the same"
    assert later.counts()["decisions"] == 1
    assert not deferred.activate(later, "other", since=0)
    later.close()


def test_a_repeat_is_answered_as_first_wherever_it_is(tmp_path):
    first, again = decision("e", arm="left", propensity=0.25), decision("e", arm="right")
    spool = spooled(tmp_path, first)
    assert deferred.Deferring(spool, since=0).append_decisions([again, decision("f")]) == [first, decision("f")]
    deferred.activate(spool, "e", since=0)
    assert deferred.Deferring(spool, since=0).append_decisions([again]) == [first]
    assert deferred.waiting(spool) == 1, "f alone"
    spool.close()


def test_a_log_in_which_nothing_was_deferred_is_as_it_was(tmp_path):
    spool = Spool(tmp_path / "log.db")
    size = spool.size()
    assert (deferred.waiting(spool), deferred.expire(spool, 2**60), deferred.forget(spool, "u", ["e"])) == (0, 0, 0)
    assert not deferred.activate(spool, "e", since=0)
    spool.append_decisions([decision("e")])
    assert deferred.activate(spool, "e", since=0)
    assert (spool.size(), spool.noted(deferred.EXPIRED)) == (size, None)
    spool.close()


def test_what_nobody_activated_in_time_expires_and_is_counted(tmp_path):
    spool = spooled(tmp_path, decision("old", 0), decision("edge", 10), decision("new", 20))
    edge = BASE + 10_000_000
    assert not deferred.activate(spool, "old", since=edge)
    deferred.Deferring(spool, since=edge).append_decisions([decision("newest", 30)])
    assert (deferred.waiting(spool), spool.noted(deferred.EXPIRED)) == (3, 1)
    assert deferred.activate(spool, "edge", since=edge)
    assert deferred.expire(spool, BASE + 10**9) == 2
    assert (deferred.waiting(spool), spool.noted(deferred.EXPIRED)) == (0, 3)
    assert set(spool.find(["old", "edge", "new", "newest"])) == {"edge"}
    spool.close()


def test_a_crash_between_log_and_waiting_list_counts_nothing_twice(tmp_path):
    spool = spooled(tmp_path, decision("e"))
    spool.append_decisions([decision("e")])  # as a process did that died before it struck the event off the list
    assert deferred.activate(spool, "e", since=0)
    assert (spool.counts()["decisions"], deferred.waiting(spool)) == (1, 0)
    spool.close()


def test_retention_forgets_what_waited_too_long(tmp_path):
    spool, store = spooled(tmp_path, decision("old"), decision("new", 5 * 86_400)), open_store(str(tmp_path / "store"))
    retain(store, spool, days=3, now=from_us(BASE) + timedelta(days=7))
    assert [deferred.activate(spool, name, since=0) for name in ("old", "new")] == [False, True]
    assert spool.noted(deferred.EXPIRED) == 1
    spool.close()


def test_a_unit_is_forgotten_where_it_waits_and_no_other(tmp_path):
    spool, store = (
        spooled(tmp_path, decision("e"), decision("f", unit_id="v" * 32)),
        open_store(str(tmp_path / "store")),
    )
    done = forget(store, spool, WINDOW, unit_id="u" * 32, host="h", now=from_us(BASE))
    assert (done.rows, deferred.waiting(spool)) == (1, 1)
    there = b"".join(path.read_bytes() for path in tmp_path.glob("log.db*"))
    assert (b"u" * 32 in there, b"v" * 32 in there) == (False, True), "in no byte of the file"
    spool.close()


@pytest.mark.parametrize(("unit", "events", "left"), [("u" * 32, [], 0), ("v" * 32, ["e"], 1), ("v" * 32, [], 2)])
def test_forgetting_reaches_what_waits(tmp_path, unit, events, left):
    spool = spooled(tmp_path, decision("e"), decision("f"))
    assert deferred.forget(spool, unit, events) == 2 - left
    assert deferred.waiting(spool) == left
    spool.close()
