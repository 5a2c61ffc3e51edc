"""Overload in virtual time, where no machine's noise can hide a collapse: many callers, one queue, and a deadline."""

import heapq
import random

import pytest

from croupier.serving.client.breaker import FAILURES, Throttle

DEADLINE, PAUSE, PROBE_EVERY = 0.097, 0.01, 0.25  # seconds; a caller pauses after a fallback


class Unthrottled(Throttle):
    def holds_back(self):
        return False


class World:
    """`callers` ask again as soon as they are answered. The server takes 1/capacity s a call, in order, and cannot know
    that a caller has given up. After FAILURES in a row a caller stops until its probe is answered (serving/client/client.py)."""

    def __init__(self, kind, callers, capacity):
        rng = random.Random(0)
        self.capacity, self.rng, self.free, self.now = capacity, rng, 0.0, 0.0
        self.throttles = [kind(rng.random, lambda: self.now) for _ in range(callers)]
        self.in_a_row, self.open, self.answered, self.late = [0] * callers, [False] * callers, 0, 0
        self.events = [(rng.random() * PAUSE, i, "call") for i in range(callers)]
        heapq.heapify(self.events)

    def run(self, seconds):
        """(answers, late answers) a second."""
        end, before = self.now + seconds, (self.answered, self.late)
        while self.events[0][0] < end:
            self.now, i, what = heapq.heappop(self.events)
            heapq.heappush(self.events, getattr(self, what)(i))
        self.now = end
        return (self.answered - before[0]) / seconds, (self.late - before[1]) / seconds

    def served_at(self):
        self.free = max(self.now, self.free) + self.rng.expovariate(self.capacity)
        return self.free

    def call(self, i):
        if self.open[i]:
            return self.probe(i)
        if self.throttles[i].holds_back():
            return self.now + PAUSE, i, "call"
        done = self.served_at()
        return (done, i, "got") if done - self.now <= DEADLINE else (self.now + DEADLINE, i, "missed")

    def got(self, i):
        self.answered, self.in_a_row[i] = self.answered + 1, 0
        self.throttles[i].answered()
        return self.now, i, "call"

    def missed(self, i):
        self.late, self.in_a_row[i] = self.late + 1, self.in_a_row[i] + 1
        self.throttles[i].failed()
        self.open[i] = self.in_a_row[i] >= FAILURES
        return self.now + PAUSE, i, "call"

    def probe(self, i):
        done = self.served_at()
        return (done, i, "closed") if done - self.now <= 0.5 else (self.now + 0.5 + PROBE_EVERY, i, "probe")

    def closed(self, i):
        self.open[i], self.in_a_row[i] = False, 0
        return self.now, i, "call"


@pytest.mark.parametrize(("callers", "capacity"), [(40, 200), (40, 300), (120, 800)])
@pytest.mark.medium
def test_a_throttled_crowd_gets_nearly_all_that_the_server_can_give(callers, capacity):
    answered, late = World(Throttle, callers, capacity).run(30)
    assert answered > 0.8 * capacity
    assert late < 0.15 * capacity
    collapsed, _ = World(Unthrottled, callers, capacity).run(30)
    assert collapsed < 0.1 * capacity  # what the throttle is for


def test_a_crowd_that_the_server_can_answer_is_not_held_back():
    assert World(Throttle, 40, 800).run(30)[0] > 0.97 * 800


def test_after_the_overload_it_opens_again():
    world = World(Throttle, 40, 300)
    world.run(30)
    assert sum(t.share for t in world.throttles) / 40 < 0.6
    world.capacity = 3000
    world.run(20)
    assert sum(t.share >= 1 for t in world.throttles) >= 38


def test_one_failure_among_answers_costs_nothing_and_time_heals():
    now = [0.0]
    throttle = Throttle(lambda: 0.999, lambda: now[0])
    throttle.failed()
    assert not throttle.holds_back()
    throttle.failed()
    assert throttle.holds_back()
    for _ in range(100):
        throttle.failed()
    assert throttle.share == 0.02
    now[0] = 25.0  # five doublings
    assert throttle.holds_back()
    assert throttle.share == pytest.approx(0.64)
    now[0] = 60.0
    assert not throttle.holds_back()


def test_a_client_that_had_nothing_to_ask_for_days_asks_again():
    now = [0.0]
    throttle = Throttle(lambda: 0.999, lambda: now[0])
    for _ in range(100):
        throttle.failed()
    now[0] = 7 * 86400.0  # 2.0 ** 120960 is no float
    assert not throttle.holds_back()
    assert throttle.share == 2.0
