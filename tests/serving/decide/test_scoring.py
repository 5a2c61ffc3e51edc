"""A candidate that hangs: how long its batch mates wait, and what is said of it."""

import threading
import time
from contextlib import suppress

import pytest

from croupier.serving.decide.candidate_breaker import SLOW_BATCHES, CandidateBreaker
from croupier.serving.decide.deadline import DeadlineRunner, TooSlow


def test_results_and_errors_come_back_and_late_ones_are_left():
    runner, gate = DeadlineRunner(), threading.Event()
    assert runner.run(lambda: 6 * 7, 5.0) == 42
    with pytest.raises(ZeroDivisionError):
        runner.run(lambda: 1 / 0, 5.0)
    with pytest.raises(TimeoutError, match="its own"):  # no result in time is another matter
        runner.run(_its_own_timeout, 5.0)
    began = time.monotonic()
    with pytest.raises(TooSlow, match=r"no result after 0\.050 s"):
        runner.run(gate.wait, 0.05)
    begun = []
    with pytest.raises(TooSlow, match="still at the work before, for 0") as found:
        runner.run(lambda: begun.append(1), 30.0)
    assert 0.05 <= found.value.busy <= time.monotonic() - began < 2.0
    gate.set()
    assert _when_free(runner, lambda: "again") == "again"
    assert not begun


def _when_free(runner, work):
    while True:
        with suppress(TooSlow):
            return runner.run(work, 30.0)
        time.sleep(0.01)


def _its_own_timeout():
    raise TimeoutError("its own")


def test_patience_is_halved_by_each_slow_batch_and_given_back_by_a_quick_one(tmp_path):
    breaker = CandidateBreaker(tmp_path / "breaker.json", patience_ms=40.0)
    assert breaker.patience(20) == pytest.approx(0.05)
    waits = []
    for _ in range(SLOW_BATCHES - 1):
        waits.append(breaker.patience(20))
        breaker.slow(1, "50%", "late")
    assert waits == pytest.approx([0.05, 0.025, 0.0125, 0.00625])
    assert not breaker.open(1, "50%")
    breaker.in_time()
    assert breaker.patience(20) == pytest.approx(0.05)
    for _ in range(SLOW_BATCHES):
        breaker.slow(1, "50%", "late")
        breaker.slow(1, "50%", "late", busy=1.9)  # says no more
    assert breaker.open(1, "50%")
    assert not breaker.open(1, "100%")


def test_a_candidate_that_hangs_is_out(tmp_path):
    breaker = CandidateBreaker(tmp_path / "breaker.json")
    breaker.slow(1, "50%", "late")
    for busy in (0.1, 1.0, 1.9):
        breaker.slow(1, "50%", "late", busy=busy)
    assert breaker.patience(0) == pytest.approx(0.015)
    assert not breaker.open(1, "50%")
    breaker.slow(1, "50%", "late", busy=2.1)
    assert CandidateBreaker(tmp_path / "breaker.json").open(1, "50%")
