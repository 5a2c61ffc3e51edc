"""When rows leave the spool: how old they must be depends on the room that is left."""

from dataclasses import replace

import pytest

from croupier.features.log.room import make_room, retry_window
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.spec import AppSpec
from croupier.features.utc import DAY, HOUR
from tests.features.log.test_ship import START, decisions


@pytest.fixture
def hourly(tmp_path, store):
    """Three shipments: of ten days ago, of two hours ago, of now."""

    def make(max_bytes: int) -> Spool:
        spool = Spool(tmp_path / f"{max_bytes}.db", max_bytes=max_bytes)
        for name, at in (("old", START - 10 * DAY), ("day", START - 2 * HOUR), ("new", START)):
            made = decisions(20, step=1, name=name)
            spool.append_decisions([replace(d, at=at) for d in made])
            ship(spool, store, host="h")
        return spool

    return make


def left(spool) -> set[str]:
    return {event[:3] for (event,) in spool.db.execute("SELECT event_id FROM decisions")}


def test_with_room_a_week_stays(hourly, store):
    spool = hourly(1 << 30)
    assert make_room(spool, store, window=HOUR, now=START) == 20
    assert left(spool) == {"day", "new"}
    spool.close()


def test_beyond_half_of_the_cap_the_retry_window_stays(hourly, store):
    spool = hourly(150_000)
    assert spool.size() > 75_000
    assert make_room(spool, store, window=3 * HOUR, now=START) == 20
    assert left(spool) == {"day", "new"}
    assert make_room(spool, store, window=HOUR, now=START) == 20
    assert left(spool) == {"new"}
    spool.close()


def test_what_is_not_shipped_stays_however_full_the_log_is(tmp_path, store):
    spool = Spool(tmp_path / "full.db", max_bytes=150_000)
    spool.append_decisions(decisions(60, step=1))
    assert make_room(spool, store, window=HOUR, now=START + 30 * DAY) == 0
    assert left(spool) == {"e00"}
    spool.close()


def test_the_fast_loop_needs_a_row_until_its_window_has_closed():
    spec = AppSpec.model_validate({"reward": {"window_seconds": 7200.0}})
    assert retry_window(spec) == HOUR
    learning = AppSpec.model_validate({"reward": {"window_seconds": 7200.0}, "policies": {"fast_loop": True}})
    assert retry_window(learning) == 3 * HOUR
