"""The loop's clock: the host's, one that a setting speeds up, or one that a simulation sets."""

import os
import time
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from croupier.features import clock
from croupier.features.utc import HOUR, to_us

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_it_is_the_hosts_unless_set():
    before = time.time_ns() // 1000
    assert before <= clock.now_us() <= time.time_ns() // 1000
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_simulation_sets_it_and_gives_it_back():
    with clock.at(5):
        with clock.at(7):
            assert clock.now_us() == 7
        assert clock.now_us() == 5
    assert clock.now_us() > to_us(START)


def test_a_time_that_is_yet_to_come_is_long_ago_beyond_what_clocks_differ():
    assert clock.elapsed(5, now=12) == 7
    assert clock.elapsed(12 + HOUR, now=12) == clock.elapsed(12, now=12) == 0
    assert clock.elapsed(13 + HOUR, now=12) == inf


def test_a_setting_makes_every_process_agree_on_a_faster_one(monkeypatch):
    monkeypatch.setenv("CROUPIER_CLOCK", clock.setting(START, speed=3600.0))
    anchor = 1_000_000 * int(os.environ["CROUPIER_CLOCK"].rpartition("@")[2])
    for _ in range(3):
        before = time.time_ns() // 1000
        shown = anchor + (clock.now_us() - to_us(START)) / 3600.0  # the real time at which it is what it says
        assert before - 1 <= shown <= time.time_ns() // 1000 + 1


@pytest.mark.parametrize(
    "bad", ["yesterday", "2026-03-01T00:00:00Z@0@1", "2026-03-01T00:00:00@2@1", "2026-03-01T00:00:00Z@x@1"]
)
def test_a_clock_that_is_none_is_named(monkeypatch, bad):
    monkeypatch.setenv("CROUPIER_CLOCK", bad)
    with pytest.raises(ValueError, match=r"CROUPIER_CLOCK: found .*expected START@SPEED@UNIXTIME"):
        clock.now_us()


def test_its_speed_is_that_of_the_setting(monkeypatch):
    monkeypatch.delenv("CROUPIER_CLOCK", raising=False)
    assert clock.speed() == 1.0
    monkeypatch.setenv("CROUPIER_CLOCK", clock.setting(START, speed=60.0))
    assert clock.speed() == 60.0
