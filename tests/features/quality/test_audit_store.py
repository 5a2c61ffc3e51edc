"""The evidence of other intervals: each counted once, restated ones anew, and few objects read."""

import json
import random

import pytest

from croupier.features.quality import audit_store
from croupier.features.quality.audit import SHAPES, AuditEvidence
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR

DAY = 24 * HOUR
BEGAN = 1_767_225_600_000_000  # 2026-01-01: keys of times before 2001 sort otherwise


def an_hour(n: int):
    return {
        "release 1, champion, p": AuditEvidence(
            n=n, shapes=(0.1 * n,) * len(SHAPES), arms={"a": (0.5, 0.25, 0.0, -0.5)}
        )
    }


def rows(found) -> int:
    return sum(evidence.n for evidence in found.values())


def test_evidence_of_other_intervals(tmp_path):
    store = open_store(str(tmp_path))
    for start in (0, 10, 20):
        audit_store.save(store, BEGAN + start, BEGAN + start + 10, an_hour(100))
    audit_store.save(store, BEGAN, BEGAN + 30, an_hour(100))  # a run by hand over all of it: counted once
    audit_store.save(store, BEGAN + 10, BEGAN + 20, an_hour(100))  # again: its own is replaced
    (rest,) = audit_store.elsewhere(store, BEGAN + 10, BEGAN + 20).values()
    assert rest.n == 200
    assert audit_store.elsewhere(store, BEGAN, BEGAN + 30) == {}


def test_a_restated_hour_of_a_day_that_was_summed_counts_as_it_is_now(tmp_path):
    store = open_store(str(tmp_path))
    for hour in range(72):
        audit_store.save(store, BEGAN + hour * HOUR, BEGAN + (hour + 1) * HOUR, an_hour(1 + hour))
    before = audit_store.elsewhere(store, BEGAN + 72 * HOUR, BEGAN + 73 * HOUR)
    assert rows(before) == sum(range(1, 73))
    audit_store.save(store, BEGAN + 30 * HOUR, BEGAN + 31 * HOUR, an_hour(1000))
    assert rows(audit_store.elsewhere(store, BEGAN + 72 * HOUR, BEGAN + 73 * HOUR)) == sum(range(1, 73)) - 31 + 1000
    assert (
        rows(audit_store.elsewhere(store, BEGAN + 30 * HOUR, BEGAN + 31 * HOUR)) == sum(range(1, 73)) - 31
    )  # not its own


def test_a_wide_interval_by_hand_never_doubles_what_days_sum(tmp_path):
    store = open_store(str(tmp_path))
    for hour in range(72):
        audit_store.save(store, BEGAN + hour * HOUR, BEGAN + (hour + 1) * HOUR, an_hour(10))
    assert rows(audit_store.elsewhere(store, BEGAN + 100 * HOUR, BEGAN + 101 * HOUR)) == 720
    audit_store.save(store, BEGAN + 12 * HOUR, BEGAN + 60 * HOUR, an_hour(480))
    assert rows(audit_store.elsewhere(store, BEGAN + 100 * HOUR, BEGAN + 101 * HOUR)) == 720
    assert (
        rows(audit_store.elsewhere(store, BEGAN + 20 * HOUR, BEGAN + 21 * HOUR)) == 710
    )  # the wide one overlaps it: its hours do not


def test_a_sum_is_the_sum_of_its_hours_to_the_last_bit(tmp_path):
    """With and without kept sums: pages of one interval are the same bytes each time."""
    store = open_store(str(tmp_path))
    for hour in range(60):
        audit_store.save(store, BEGAN + hour * HOUR, BEGAN + (hour + 1) * HOUR, an_hour(1 + hour % 7))
    first = audit_store.elsewhere(store, BEGAN + 60 * HOUR, BEGAN + 61 * HOUR)
    assert [key for key in store.list("audit/") if "day=" in key] == [f"audit/day=2026-01-0{i}.json" for i in (1, 2, 3)]
    assert audit_store.elsewhere(store, BEGAN + 60 * HOUR, BEGAN + 61 * HOUR) == first


class Watched:
    """A store that knows which keys were listed and read."""

    def __init__(self, store):
        self.store, self.listed, self.seen = store, [], []

    def __getattr__(self, name):
        found = getattr(self.store, name)

        def told(*args):
            answer = found(*args)
            if name in ("list", "between"):
                self.listed += answer
            if name in ("get", "read"):
                self.seen.append(args[0])
            return answer

        return told


@pytest.mark.parametrize("days", [3, 20])
def test_what_an_hour_lists_and_reads_is_one_key_a_day_and_its_own_day(tmp_path, days):
    store = open_store(str(tmp_path))
    for hour in range(24 * days):
        audit_store.save(store, BEGAN + hour * HOUR, BEGAN + (hour + 1) * HOUR, an_hour(1))
    audit_store.elsewhere(store, BEGAN + days * DAY, BEGAN + days * DAY + HOUR)
    watched = Watched(store)
    audit_store.save(watched, BEGAN + days * DAY, BEGAN + days * DAY + HOUR, an_hour(1))
    assert watched.listed == []
    found = audit_store.elsewhere(watched, BEGAN + days * DAY + HOUR, BEGAN + days * DAY + 2 * HOUR)
    assert rows(found) == 24 * days + 1
    assert len(watched.listed) == days + 2, "a key a day, and the hours of the day that was judged"
    assert len([key for key in watched.seen if "day=" in key]) == days + 1


def test_a_sum_that_was_made_while_an_hour_was_judged_is_not_kept(tmp_path):
    store = open_store(str(tmp_path))
    audit_store.save(store, BEGAN, BEGAN + HOUR, an_hour(10))

    class Slow(Watched):
        def between(self, *args):
            answer = self.store.between(*args)
            audit_store.save(self.store, BEGAN + HOUR, BEGAN + 2 * HOUR, an_hour(5))  # another worker, meanwhile
            return answer

    assert rows(audit_store.elsewhere(Slow(store), BEGAN + DAY, BEGAN + DAY + HOUR)) == 10
    assert rows(audit_store.elsewhere(store, BEGAN + DAY, BEGAN + DAY + HOUR)) == 15


def test_a_store_of_before_is_read_on(tmp_path):
    """Then a day's sum was kept as {"spans": keys, "audit"}, and thrown away when it changed."""
    store = open_store(str(tmp_path))
    for hour in range(30):
        audit_store.save(store, BEGAN + hour * HOUR, BEGAN + (hour + 1) * HOUR, an_hour(1 + hour))
    names = [f"audit/{BEGAN + hour * HOUR}-{BEGAN + (hour + 1) * HOUR}.json" for hour in range(24)]
    kept = {"spans": names, "audit": {group: each.to_dict() for group, each in an_hour(300).items()}}
    store.put("audit/day=2026-01-01.json", json.dumps(kept).encode())
    store.delete("audit/day=2026-01-02.json")
    store.delete("audited/by-days.json")
    assert rows(audit_store.elsewhere(store, BEGAN + 40 * HOUR, BEGAN + 41 * HOUR)) == sum(range(1, 31))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_whole_list_says(tmp_path, seed):
    """Intervals of any length, judged and asked for in any order, against the plain form: every one in order, less those
    that overlap what is asked, or one before."""
    rng, store, kept = random.Random(seed), open_store(str(tmp_path)), {}
    for _ in range(60):
        start, n = BEGAN + rng.randrange(120) * HOUR, rng.randrange(1, 9)
        span = start, start + rng.choice([1, 1, 1, 1, 5, 30, 60]) * HOUR
        if rng.random() < 0.6:
            kept[span] = n
            audit_store.save(store, *span, an_hour(n))
        free, expected = 0, 0
        for (a, b), n in sorted(kept.items()):
            if (b <= span[0] or a >= span[1]) and a >= free:
                expected, free = expected + n, b
        assert rows(audit_store.elsewhere(store, *span)) == expected
