"""The evidence of other intervals: each counted once, restated ones anew, and few objects read."""

from croupier.features.quality import audit_store
from croupier.features.quality.audit import SHAPES, AuditEvidence
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR

DAY = 24 * HOUR


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
        audit_store.save(store, start, start + 10, an_hour(100))
    audit_store.save(store, 0, 30, an_hour(100))  # a run by hand over all of it: counted once
    audit_store.save(store, 10, 20, an_hour(100))  # again: its own is replaced
    (rest,) = audit_store.elsewhere(store, 10, 20).values()
    assert rest.n == 200
    assert audit_store.elsewhere(store, 0, 30) == {}


def test_a_restated_hour_of_a_day_that_was_summed_counts_as_it_is_now(tmp_path):
    store = open_store(str(tmp_path))
    for hour in range(72):
        audit_store.save(store, hour * HOUR, (hour + 1) * HOUR, an_hour(1 + hour))
    before = audit_store.elsewhere(store, 72 * HOUR, 73 * HOUR)
    assert rows(before) == sum(range(1, 73))
    audit_store.save(store, 30 * HOUR, 31 * HOUR, an_hour(1000))
    assert rows(audit_store.elsewhere(store, 72 * HOUR, 73 * HOUR)) == sum(range(1, 73)) - 31 + 1000
    assert rows(audit_store.elsewhere(store, 30 * HOUR, 31 * HOUR)) == sum(range(1, 73)) - 31  # not its own


def test_a_wide_interval_by_hand_never_doubles_what_days_sum(tmp_path):
    store = open_store(str(tmp_path))
    for hour in range(72):
        audit_store.save(store, hour * HOUR, (hour + 1) * HOUR, an_hour(10))
    assert rows(audit_store.elsewhere(store, 100 * HOUR, 101 * HOUR)) == 720
    audit_store.save(store, 12 * HOUR, 60 * HOUR, an_hour(480))
    assert rows(audit_store.elsewhere(store, 100 * HOUR, 101 * HOUR)) == 720
    assert rows(audit_store.elsewhere(store, 20 * HOUR, 21 * HOUR)) == 710  # the wide one overlaps it: its hours do not


def test_a_sum_is_the_sum_of_its_hours_to_the_last_bit(tmp_path):
    """With and without kept sums: pages of one interval are the same bytes each time."""
    store = open_store(str(tmp_path))
    for hour in range(60):
        audit_store.save(store, hour * HOUR, (hour + 1) * HOUR, an_hour(1 + hour % 7))
    first = audit_store.elsewhere(store, 60 * HOUR, 61 * HOUR)
    assert len([key for key in store.list("audit/") if "day=" in key]) == 2  # the third day is not over
    assert audit_store.elsewhere(store, 60 * HOUR, 61 * HOUR) == first


def test_what_an_hour_reads_does_not_grow_with_the_age_of_the_app(tmp_path):
    store = open_store(str(tmp_path))
    for hour in range(24 * 30):
        audit_store.save(store, hour * HOUR, (hour + 1) * HOUR, an_hour(1))
    audit_store.elsewhere(store, 720 * HOUR, 721 * HOUR)
    seen: list[str] = []
    get = store.get
    store.get = lambda key: seen.append(key) or get(key)  # type: ignore[method-assign]
    assert rows(audit_store.elsewhere(store, 720 * HOUR, 721 * HOUR)) == 720
    assert len(seen) == 30, "one sum a day"
