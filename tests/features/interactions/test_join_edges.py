"""Edges of the join that no ordinary log touches: a repeat out of reach, a store that fails while hours are written, and
how much is held in memory at once. (A mutant of each passed once: tests/faults/README.md.)"""

import pytest

from croupier.features.interactions import join as joining
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.store.storage import FolderStore, StoreUnavailable
from croupier.features.utc import HOUR, hour_name
from tests.features.interactions.joined import END, NOW, START, WINDOW, decision, join, reward

HOUR_SECONDS = 3600


@pytest.mark.parametrize(("hours", "repeated"), [(0, 1), (1, 1), (2, 1), (3, 0), (5, 0)])
def test_a_repeat_counts_as_one_for_two_hours_however_many_hours_are_joined_at_once(tmp_path, store, hours, repeated):
    for host, seconds in (("h1", 0.0), ("h2", hours * HOUR_SECONDS + 1.0)):
        spool = Spool(tmp_path / host / "log.sqlite")
        spool.append_decisions([decision("e", seconds)])
        ship(spool, store, host=host)
        spool.close()
    account = join(store, end=START + 2 * (END - START))
    assert (account.decisions_in, account.decision_duplicates, account.interactions) == (2, repeated, 2 - repeated)


class Failing(FolderStore):
    """Writes no hour's partition."""

    def _write(self, key, *args, **more):
        if "interactions" in key:
            raise StoreUnavailable(f"{key}: no room")
        return super()._write(key, *args, **more)


@pytest.mark.parametrize("rows", [1, 500_000])
def test_an_hour_that_could_not_be_written_is_an_error_of_the_join(log, store, tmp_path, monkeypatch, rows):
    """Whether it was the last chunk's, or one before it."""
    log(*(decision(f"e{i}", i * HOUR_SECONDS) for i in range(3)), reward("e0"))
    monkeypatch.setattr(joining, "ROWS", rows)
    with pytest.raises(StoreUnavailable, match="no room"):
        join(Failing(tmp_path / "store"), WINDOW, now=NOW)


class Sizes:
    """A log of which nothing is known but how many decisions each hour has."""

    def __init__(self, **hours):
        self._hours = hours

    def rows(self, kind, hour):
        assert kind == "decisions"
        return self._hours[hour]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({0: 5, 1: 5, 2: 5}, [[0, 1], [2]]),
        ({0: 5, 1: 6, 2: 4}, [[0], [1, 2]]),
        ({0: 99, 1: 1}, [[0], [1]]),  # an hour is never cut
        ({0: 0, 1: 10, 2: 0, 3: 1}, [[0, 1, 2], [3]]),
        ({0: 1, 2: 1, 3: 1, 30: 1}, [[0], [2, 3], [30]]),  # what lies between is not read
    ],
)
def test_so_many_decisions_are_joined_at_a_time(monkeypatch, sizes, expected):
    monkeypatch.setattr(joining, "ROWS", 10)
    named = {hour_name(hour * HOUR): size for hour, size in sizes.items()}
    found = list(joining._chunks(Sizes(**named), list(named)))
    assert found == [[hour_name(hour * HOUR) for hour in chunk] for chunk in expected]
