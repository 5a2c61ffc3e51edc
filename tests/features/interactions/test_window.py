"""The loop's two clocks: an hour is built when it is mature, a training reads every sound hour of its window, once."""

from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest

from croupier.features import clock
from croupier.features.interactions import hours, window
from croupier.features.interactions.join import join_hours
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.versions import empty, latest_interactions, newest, read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.shipped import open_log
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import AppSpec, TrainingSpec
from croupier.features.spec_values import seconds_of
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import from_us, hour_name, hour_start, to_us

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def decision(i: int, at: datetime) -> Decision:
    return Decision(
        event_id=f"e{i}",
        at=to_us(at),
        unit_id="u",
        context={},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=1,
    )


class Site:
    """A log of four decisions an hour, and the loop's functions over it."""

    def __init__(self, folder, **training):
        self.store, self.spool = open_store(str(folder / "store")), Spool(folder / "log.sqlite")
        self.spec = AppSpec(reward={"window_seconds": 600}, training={"min_rows": 2, **training})

    def log(self, hour: int, *, of_hours: int = 1) -> None:
        made = [
            decision(4 * h + k, START + h * HOUR + k * timedelta(minutes=15))
            for h in range(hour, hour + of_hours)
            for k in range(4)
        ]
        self.spool.append_decisions(made)
        ship(self.spool, self.store, host="h")

    def reward(self, i: int, at: datetime) -> None:
        self.spool.append_rewards([Reward(event_id=f"e{i}", at=to_us(at), kind="click", value=1.0)])
        ship(self.spool, self.store, host="h")

    def due(self, now: datetime) -> list[str]:
        return hours.due(self.store, self.spec, now=now)

    def build(self, now: datetime, *, failing: tuple[str, ...] = ()) -> list[str]:
        """What `build_features` does with what is due, with a verdict of our own in place of the validation's."""
        waiting = self.due(now)
        with open_log(self.store) as log:
            join_hours(log, waiting, self.spec.reward, now=now)
        for hour in waiting:
            start = from_us(hour_start(hour))
            version = newest(self.store, start=start, end=start + HOUR)[hour]
            hours.record(self.store, version, hours.Checked(passed=hour not in failing, rows=version.rows))
        return waiting

    def rows(self, now: datetime, most: int = 10**6) -> pl.DataFrame:
        seen = window.window(self.store, self.spec, now=now)
        with log_parts.learnt(self.store, self.spec, seen.hours.values(), keep=seen.share(most)) as log:
            return pl.concat([empty(), *(part.drop("late_reward") for part in log.parts)])


def name(hour: int) -> str:
    return hour_name(to_us(START + hour * HOUR))


@pytest.fixture
def site_with(tmp_path):
    """Makes a site with these [training] settings; its spool is closed at the end."""
    made = []

    def make(**training):
        made.append(Site(tmp_path, **training))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


@pytest.fixture
def site(site_with):
    return site_with()


def test_an_hour_is_due_from_the_moment_its_last_window_has_closed_and_once(site):
    site.log(0)
    assert site.due(START + HOUR) == []
    assert site.due(START + HOUR + timedelta(seconds=599)) == []
    now = START + HOUR + timedelta(seconds=600)
    assert site.build(now) == [name(0)]
    assert site.due(now) == site.due(now + 5 * HOUR) == []
    assert len(site.rows(now)) == 4


def test_an_hour_of_orphans_alone_is_counted_once(site):
    site.log(0)
    site.reward(99, START + timedelta(hours=1, minutes=5))  # of a decision that nobody logged
    now = START + 3 * HOUR
    assert site.build(now) == [name(0), name(1)]
    assert site.due(now) == []
    assert newest(site.store, start=START + HOUR, end=START + 2 * HOUR)[name(1)].account["orphan"] == 1


def test_an_outage_is_caught_up_oldest_first_and_within_bounds(site_with):
    site = site_with(catch_up_hours=4)
    site.log(0, of_hours=6)
    now = START + 7 * HOUR
    assert site.build(now) == [name(h) for h in range(4)]
    assert site.build(now) == [name(4), name(5)]
    assert site.build(now) == []
    assert len(site.rows(now)) == 24


def test_a_restated_hour_is_validated_again_and_its_newest_version_is_trained_on(site):
    site.log(0)
    now = START + 2 * HOUR
    site.build(now)
    assert site.rows(now)["reward"].sum() == 0
    site.reward(1, START + timedelta(minutes=20))
    with open_log(site.store) as log:
        join_hours(log, [name(0)], site.spec.reward, now=now)  # what collect_events does
    assert len(site.rows(now)) == 0  # the new version is not trained on before it has passed
    assert site.build(now) == [name(0)]
    assert site.rows(now)["reward"].to_list() == [0.0, 1.0, 0.0, 0.0]


def test_an_hour_that_fails_keeps_no_other_back(site):
    site.log(0, of_hours=3)
    now = START + 4 * HOUR
    site.build(now, failing=(name(1),))
    assert hours.refused(site.store, start=START, end=now) == [name(1)]
    assert site.due(now) == []  # it is not tried again for ever
    assert [hour_name(at) for at in site.rows(now)["at"].to_list()] == [name(0)] * 4 + [name(2)] * 4


def test_the_window_rolls(site_with):
    site = site_with(days=0.25)  # six hours
    site.log(0, of_hours=10)
    for hour in range(1, 12):
        site.build(START + hour * HOUR + timedelta(minutes=10))
    seen = window.window(site.store, site.spec, now=START + 10 * HOUR + timedelta(minutes=10))
    assert sorted(seen.hours) == [name(h) for h in range(4, 10)]
    assert (seen.start, seen.end) == (START + 4 * HOUR, START + 10 * HOUR)


def test_rows_beyond_the_limit_are_kept_by_hash_and_weighted_by_what_they_stand_for(site):
    site.log(0, of_hours=100)
    now = START + 101 * HOUR
    while site.build(now):
        pass
    all_rows, half, fifth = (site.rows(now, most) for most in (400, 200, 80))
    assert len(all_rows) == 400
    assert set(all_rows["pass_probability"]) == {1.0}
    assert set(half["pass_probability"]) == {0.5}
    assert set(fifth["event_id"]) < set(half["event_id"])
    for kept, share in ((half, 0.5), (fifth, 0.2)):
        sd = (400 * share * (1 - share)) ** 0.5
        assert abs(len(kept) - 400 * share) < 4 * sd
        assert float((1 / kept["pass_probability"]).sum()) == pytest.approx(len(kept) / share)


@pytest.mark.parametrize(("training", "rows", "hours_since", "due"), [
    ({}, 1, 5.9, False), ({}, 1, 6.0, True), ({}, 0, 60.0, False),
    ({"after_rows": 1000}, 999, 5.9, False), ({"after_rows": 1000}, 1000, 0.1, True), ({"after_rows": 1000}, 1, 6.0, True),
    ({"after_rows": 1000, "when": "later"}, 1000, 5.9, False), ({"after_rows": 1000, "when": "later"}, 999, 99.0, False),
    ({"after_rows": 1000, "when": "later"}, 1000, 6.0, True), ({"every": "1d"}, 5, 23.9, False), ({"every": "1d"}, 5, 24, True),
])  # fmt: skip
def test_the_cadence_is_as_declared(training, rows, hours_since, due):
    assert bool(window._since(TrainingSpec(**training), rows, hours_since * 3600)) is due


def test_a_training_that_died_is_begun_again_and_one_that_ended_is_not(site):
    site.log(0, of_hours=2)
    now = START + 3 * HOUR
    site.build(now)
    seen = window.window(site.store, site.spec, now=now)
    assert window.due(site.store, site.spec, seen, now=now) == "the first training"
    window.begin(site.store, "k1", now=now)
    assert window.due(site.store, site.spec, seen, now=now + timedelta(minutes=59)) == ""
    assert window.due(site.store, site.spec, seen, now=now + HOUR) == "the first training"
    meta = {"began": to_us(now), "end_us": to_us(seen.end), "hours": {h: v.rows for h, v in seen.hours.items()}}
    window.end(site.store, "k1", meta)
    assert window.due(site.store, site.spec, seen, now=now + 100 * HOUR) == ""  # no new row
    site.log(2)
    site.build(now + 2 * HOUR)
    grown = window.window(site.store, site.spec, now=now + 2 * HOUR)
    assert window.new_rows(grown, orjson.loads(site.store.get(layout.TRAINING_ENDED))) == 4
    assert window.due(site.store, site.spec, grown, now=now + 5 * HOUR) == ""
    assert window.due(site.store, site.spec, grown, now=now + 6 * HOUR).startswith("4 new rows, 6.0 hours")


def test_a_training_of_a_clock_that_was_ahead_keeps_none_back(site):
    """A host's clock was ten days ahead while a training began, and ended; it was set right. Nobody waits ten days."""
    site.log(0, of_hours=2)
    now, ahead = START + 3 * HOUR, START + 243 * HOUR
    site.build(now)
    seen = window.window(site.store, site.spec, now=now)
    hours_of = {h: v.rows for h, v in seen.hours.items()}
    with clock.at(to_us(ahead)):
        window.begin(site.store, "k1", now=ahead)
    assert window.due(site.store, site.spec, seen, now=now) == "the first training"
    with clock.at(to_us(ahead)):
        window.end(site.store, "k1", {"began": to_us(ahead), "end_us": to_us(ahead), "hours": hours_of})
    site.log(2)
    later = START + 4 * HOUR
    site.build(later)
    seen = window.window(site.store, site.spec, now=later)
    why = "4 new rows, an unknown time (a clock was ahead) after the last training"
    assert window.due(site.store, site.spec, seen, now=later) == why
    window.begin(site.store, "k2", now=later)
    with clock.at(to_us(later)):
        meta = {"began": to_us(later), "end_us": to_us(seen.end), "hours": {h: v.rows for h, v in seen.hours.items()}}
        window.end(site.store, "k2", meta)
    assert window.last_features(site.store) == "k2"
    assert window.due(site.store, site.spec, seen, now=later) == ""


def test_durations_are_read_with_their_unit():
    assert [seconds_of(t) for t in ("90s", "30m", "6h", "1.5d")] == [90.0, 1800.0, 21600.0, 129600.0]
    for bad in ("6", "h", "-1h", "0h", "6w", "infh", "nanh"):
        with pytest.raises(ValueError, match="one of s, m, h, d"):
            TrainingSpec(every=bad)


@pytest.mark.parametrize("rows", [1, 3, 9, 40])
def test_the_latest_interactions_are_read_backwards_and_no_older_ones(site, rows):
    """Half of the rows are filtered away, so that more hours are asked for than would hold `rows`."""
    site.log(0, of_hours=12)
    at = START + 13 * HOUR
    with open_log(site.store) as log:
        join_hours(log, log.hours("decisions"), site.spec.reward, now=at)
    even = pl.col("event_id").str.slice(1).cast(pl.Int64) % 2 == 0
    whole = read_interactions(site.store, start=START, end=at).filter(even)
    assert len(whole) == 24
    for hour in sorted(newest(site.store, start=START, end=at).values(), key=lambda v: v.hour)[: 12 - 4 * rows]:
        site.store.delete(hour.data)
    found = latest_interactions(site.store, START, at, where=even, rows=rows)
    assert found.equals(whole.tail(rows))
